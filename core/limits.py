"""Every bound of the node, with its unit and its reason.

A bound that an operator may move stands in ``core.config`` and takes its default
and its own bounds from here.
"""

from typing import Final

from core.upstream_limits import *  # noqa: F403 - all of them are limits

# --- identifiers -----------------------------------------------------------
PREFIX_CHARS: Final = 64  # characters; docking agreement of the national node §6
PREFIX_CHARS_MAX: Final = 100  # characters; four octets each still leave room in a store key
HANDLE_CHARS: Final = 255  # characters; the same
HANDLE_CHARS_MAX: Final = 2_048  # the reference server's hard limit, in octets
HANDLE_BYTES_MAX: Final = 2_048  # UTF-8 octets, whatever the character limit says
PREFIX_SEGMENTS_MAX: Final = 16  # the national tree has three; bounds ancestor walks

# --- records ---------------------------------------------------------------
VALUES_PER_RECORD_MAX: Final = 2_048  # as the reference server
RECORD_BYTES_MAX: Final = 262_144  # a whole record fits in one Handle message
TYPE_BYTES_MAX: Final = 256  # octets of a value type's name
REFERENCES_PER_VALUE_MAX: Final = 256
VALUE_INDEX_MAX: Final = 2**31 - 1  # clients read a signed int32
TTL_S_MAX: Final = 2**31 - 1
TTL_S_DEFAULT: Final = 86_400  # the reference server's default

# --- structures inside values ----------------------------------------------
WIRE_ARRAY_MAX: Final = 1_048_576  # elements; as the reference server
SITE_SERVERS_MAX: Final = 256
SITE_INTERFACES_MAX: Final = 64
SITE_ATTRIBUTES_MAX: Final = 256
SITE_FILE_BYTES_MAX: Final = 1_048_576  # of a file with site information: handle.site, sites of a delegated prefix
DELEGATED_SITES_MAX: Final = 8  # sites of one delegated prefix: a referral carries them all

# --- administration --------------------------------------------------------
ADMIN_GROUP_HANDLES_MAX: Final = 256  # groups (HS_VLIST) walked for one decision
ADMIN_GROUP_MEMBERS_MAX: Final = 10_000  # members looked at for one decision; a few milliseconds
SECRET_BYTES_MAX: Final = 1_024
MINT_TRIES_MAX: Final = 4_096  # random suffixes for one that this server of 256 is asked for; 1 in 9 million fails

# --- templates (HS_NAMESPACE) ----------------------------------------------
TEMPLATE_BYTES_MAX: Final = 65_536
TEMPLATE_DEPTH_MAX: Final = 16  # nesting of XML elements
TEMPLATE_REF_DEPTH_MAX: Final = 10  # as the reference server
TEMPLATE_ELEMENTS_MAX: Final = 512
TEMPLATE_TEXT_CHARS_MAX: Final = 16_384  # of one text after replacement
TEMPLATE_EXPRESSION_CHARS_MAX: Final = 256  # of one regular expression
TEMPLATE_EXPRESSION_BYTES_MAX: Final = 131_072  # one compiled; 128 are kept: 16 MiB a process
TEMPLATE_EXPRESSIONS_MAX: Final = 32  # in one record that is written; the slowest take 2 ms each to compile
TEMPLATE_WORK_MAX: Final = (
    20_000_000  # units of about 10 ns in one resolution; resolver/template.py says what costs how much
)

# --- aliases ----------------------------------------------------------------
ALIAS_CHARS_MAX: Final = 128  # of a value; a key of the store has room for it
ALIASES_PER_HANDLE_MAX: Final = 64
OID_ARCS_MAX: Final = 32  # ORS: labels of one name in DNS, with room for the suffix
OID_CHARS_MAX: Final = 127  # so that ors-dummy, arcs and a suffix of 110 octets fit a name of 255

# --- GS1 Digital Link -------------------------------------------------------
DIGITAL_LINK_CHARS_MAX: Final = 2_048  # of path and query together
GS1_MEMBERS_MAX: Final = 64  # AIs and other members of the query of one link, as GS1's Syntax Engine
GS1_LINKS_MAX: Final = 64  # link values of one record that are looked at
GS1_LINK_BYTES_MAX: Final = 4_096  # of one link value
GS1_LINK_ITEMS_MAX: Final = 16  # languages of one link value, and words of its context
GS1_MULTI_MAX: Final = 16  # links that a linkset tells as gs1:defaultLinkMulti; each is tried among all of them
NEGOTIATED_MAX: Final = 64  # members of Accept and of Accept-Language that are looked at, the first ones
LINK_TITLE_CHARS_MAX: Final = 256  # of what a linkset takes from a DESC value
QUICK_LINKS_MAX: Final = 16_384  # redirects that a worker remembers for one state of the store: 16 MiB

# --- DNS --------------------------------------------------------------------
DNS_UDP_BYTES: Final = 1_232  # of an answer by UDP, whatever the client can take (DNS flag day 2020)
DNS_UDP_BYTES_MAX: Final = 4_096
DNS_PLAIN_UDP_BYTES: Final = 512  # without EDNS (RFC 1035 §2.3.4)
DNS_AMPLIFICATION_MAX: Final = 16  # an answer by UDP is at most so many times as long as its question, else TC
DNS_MESSAGE_BYTES_MAX: Final = 65_535  # by TCP (RFC 1035 §4.2.2)
DNS_QUERY_BYTES_MAX: Final = 1_024  # of a question; one name, EDNS, TSIG
DNS_NAME_BYTES_MAX: Final = 255
DNS_LABEL_BYTES_MAX: Final = 63
DNS_ANSWERS_KEPT_MAX: Final = 65_536  # ready answers of one worker by UDP, and by TCP, until a zone changes
DNS_ANSWERS_KEPT_BYTES: Final = 33_554_432  # of them, with their questions and identifiers
DNS_TTL_S: Final = 3_600
DNS_NEGATIVE_TTL_S: Final = 300
DNS_TTL_S_MAX: Final = 604_800
DNS_TCP_IDLE_S: Final = 10.0
DNS_CONNECTIONS_MAX: Final = 512  # by TCP, of one worker
DNS_TRANSFERS_MAX: Final = 4  # zone transfers under way in one worker
DNS_TRANSFER_MESSAGE_BYTES: Final = 16_384
DNS_TRANSFER_ROWS: Final = 100  # of aliases that are not answered, between two turns of the event loop
DNS_TRANSFER_S: Final = 1_800.0  # of one transfer: its state of the store keeps old pages from being reused
DNS_SECONDARIES_MAX: Final = 16
TSIG_KEYS_MAX: Final = 16
TSIG_FILE_BYTES_MAX: Final = 16_384
TSIG_SECRET_BYTES_MIN: Final = 16
TSIG_FUDGE_S: Final = 300  # that the clocks of both sides may differ, as we sign (RFC 8945 §10)
DNS_LABELS_MAX: Final = 256  # entries of dns.oid_labels
DNS_CNAMES_MAX: Final = 5  # aliases of one answer (DNAME), as many as Knot follows; whoever asks goes on by himself
DNS_HIDDEN_MAX: Final = 1_000  # rows of aliases that are not answered, looked at for one question
DNS_HIDDEN_KEPT_MAX: Final = 4_096  # places behind such rows that a worker remembers
OID_CHILDREN_MAX: Final = 1_000  # rows of aliases that the document of what is below an OID is made of
NOTIFY_S: Final = 5.0  # a NOTIFY that is not answered is sent again after this, then twice as long (RFC 1996 §3.6)
NOTIFY_S_MAX: Final = 3_600.0
NOTIFY_LATE_S: Final = 600  # from when a secondary that has not heard of a change is told to whoever asks
NOTIFY_FILE_BYTES_MAX: Final = 65_536  # of who has heard of which zone

# --- resolution for others (resolver.recursive) ------------------------------
RECURSION_S: Final = 10.0  # of one question, all of its steps
RECURSION_DEPTH_MAX: Final = 8  # referrals, redirects
RECURSIONS_MAX: Final = 256  # questions under way in one worker
RECURSION_KEPT_MAX: Final = 10_000  # answers that are remembered
RECURSION_TTL_S_MAX: Final = 86_400
RECURSION_KEPT_BYTES_MAX: Final = 33_554_432  # of all of them together
RECURSION_UNSAID_S: Final = 60  # an answer, or that there is none, holds so long where it does not say how long
RECURSION_ANSWER_BYTES_MAX: Final = 524_288  # of one answer as it comes: a whole record, a linkset

# --- labels ----------------------------------------------------------------
LABELS_MAX: Final = 10_000  # of one command: files in one folder; whole lots go to a printer as text
LABEL_TEXT_BYTES_MAX: Final = 512  # octets in one symbol: QR version 17, more than a label has room for
LABEL_MODULE_MM_MIN: Final = 0.4  # side of a module on a flexible bag
GS1_SERIAL_CHARS_MAX: Final = 20  # characters of AI 21 (GS1 General Specifications)

# --- Handle protocol -------------------------------------------------------
MESSAGE_BYTES_MAX: Final = 262_144  # of a request; as the reference server
UDP_PACKET_BYTES: Final = 512  # envelope included; as the reference server
UDP_DATAGRAM_BYTES_MAX: Final = 2_048  # of a datagram that is taken
UDP_BATCH: Final = 64  # datagrams read or sent by one system call
UDP_QUEUE_BYTES: Final = 524_288  # of datagrams that wait in the kernel, where it allows that: about a thousand
UDP_ANSWER_BYTES: Final = 2_048  # octets sent for one request to a source that may be forged
UDP_ANSWER_BYTES_MAX: Final = 65_536
UDP_ASSEMBLIES_MAX: Final = 64  # requests in several packets that one worker puts together
UDP_ASSEMBLY_S: Final = 5
HANDLE_ANSWER_S: Final = 43_200  # from now to an answer's expiration; as the reference server
HANDLE_LIST_COUNT: Final = 50  # handles in one message of a list; as the reference server
HANDLE_CONNECTIONS_MAX: Final = 8_192  # TCP connections of one worker; 3/8 of its descriptors if these are fewer
DESCRIPTORS_MAX: Final = 65_536  # what a node raises its own limit to
HANDLE_IDLE_S: Final = 75  # a connection without a request is closed
HANDLE_MESSAGE_S: Final = 30  # a message that takes longer to come is given up
HANDLE_EVICTED: Final = 64  # connections that go at once to make room, so that looking for them is cheap
HANDLE_TURN_MESSAGES: Final = 64  # of one connection before the others have their turn
HANDLE_TURN_BYTES: Final = 65_536  # of answers to one connection in one turn, and one answer
HANDLE_GATHERED_BYTES: Final = 16_384  # of one connection that wait for the end of a turn
HANDLE_BUFFERED_BYTES_MAX: Final = 134_217_728  # of all messages that one worker has in part
HANDLE_UNDER_WAY_MAX: Final = 4_096  # requests by UDP of one worker that wait for a proof

# --- challenges and sessions -----------------------------------------------
CHALLENGE_S: Final = 60  # as the reference server
CHALLENGES_MAX: Final = 50_000  # the oldest go first
CHALLENGES_BYTES_MAX: Final = 67_108_864
NONCE_BYTES: Final = 16
SESSION_S_MAX: Final = 86_400  # what the reference client asks for
SESSION_NEW_S: Final = 600  # a session whose identity is not proven
SESSIONS_MAX: Final = 20_000  # those that end first go first
SESSIONS_BYTES_MAX: Final = 33_554_432
SESSION_COUNTERS: Final = 199  # counters remembered in a session; as the reference server
DH_MODULUS_BITS_MIN: Final = 1_024
DH_MODULUS_BITS_MAX: Final = 2_048  # a power of this size takes some milliseconds
DH_EXPONENT_BITS: Final = 256
SETUPS_PER_S: Final = 200  # sessions set up in one worker; each costs a millisecond or some
SETUPS_UDP_PER_S: Final = 20  # by UDP, whose source may be forged
LOGINS_MAX: Final = 50_000  # sessions of the JSON interface
LOGINS_BYTES_MAX: Final = 16_777_216
LOGIN_S: Final = 3_600  # since it was used last
LOGIN_S_MAX: Final = 43_200  # since its identity was proven
LOGIN_NEW_S: Final = 300  # one whose identity is not proven
PBKDF2_ITERATIONS_MAX: Final = 40_000  # of all blocks of the key: four times what clients use, some 7 ms
PBKDF2_KEY_BITS_MAX: Final = 512
KEYS_TRIED_MAX: Final = 16  # of an identity with index 0
PROOFS_MAX: Final = 256  # slow proofs that wait in one worker
PROOFS_FOR_OTHERS_MAX: Final = 16  # of these, of verifications that anyone may ask for
RSA_MODULUS_BITS_MAX: Final = 4_096
RSA_EXPONENT_BITS_MAX: Final = 33  # a larger one costs much and protects nothing
RUN_STORE_BYTES: Final = 536_870_912  # address space; four times what all rows may take
RUN_STORE_READERS: Final = 256
RUN_SWEEP_ROWS: Final = 10_000  # rows that one sweep removes

# --- HTTP ------------------------------------------------------------------
HTTP_HEAD_BYTES_MAX: Final = 16_384
HTTP_HEADERS_MAX: Final = 100
QUERY_FIELDS_MAX: Final = 2_100  # as many index= as a record has values, and some
BODY_BYTES_MAX: Final = 2_097_152  # one record as JSON: base64 and escapes included
GZIP_BYTES_MIN: Final = 1_024  # as the reference server: 1 023 stays plain
HTTP_IDLE_S: Final = 75
HEAD_S: Final = 10  # half a head is waited for no longer, nor a TLS handshake
HTTP_CONNECTIONS_MAX: Final = 8_192  # of one worker; three eighths of its descriptors if these are fewer
HTTP_EVICTED: Final = 64  # connections that go at once to make room, so that looking for them is cheap
HTTP_TURN_BYTES: Final = 65_536  # of answers to one connection before it is seen whether its client reads
HTTP_TURN_REQUESTS: Final = 64  # of one connection before the others have their turn; half a millisecond
WRITE_STALL_S: Final = 75  # a client that takes no octet of its answers for so long is given up
TLS_CLOSE_S: Final = 3_600  # from close() to the end of TLS; WRITE_STALL_S ends what makes no progress
QUICK_HEAD_BYTES_MAX: Final = 1_024  # of a head whose judgement is remembered
QUICK_HEADS_MAX: Final = 1_024
QUICK_PREFIXES_MAX: Final = 4_096  # remembered by a worker as served here
QUICK_FORMS_MAX: Final = 1_024  # of Handle messages: what is not their own in envelope and header
BODY_S: Final = 60  # a body that takes longer is refused
BODIES_BYTES_MAX: Final = 134_217_728  # of all bodies that one worker holds
LINGER_S: Final = 2  # how long the rest of a refused body is read away, so that the answer arrives
DRAIN_S: Final = 5  # how long requests under way may take after SIGTERM

# --- requests of one source ------------------------------------------------
RATE_PER_S: Final = 1_000  # 86 million a day of a platform behind one address; 1/60 of what one worker resolves
RATE_PER_S_MAX: Final = 1_000_000  # more than any node answers
RATE_SLOTS: Final = 65_536  # of one row, named by 16 bits; two rows of eight octets each: 1 MiB a limit
RATE_SOURCES_KEPT: Final = 4_096  # whose slots one worker remembers, about 1 MiB
RATE_EXEMPT: Final = ("127.0.0.0/8", "::1/128")  # this machine
RETRY_AFTER_S: Final = 1  # whoever was too fast has all that he may have again after so long
LOGIN_FAILURES: Final = 12_000  # of one source and identity by the Handle protocol; then nothing of it is looked at
HTTP_FAILURE_COST: Final = 120  # of Basic and of a session: a hundred tries
TOKEN_FAILURE_COST: Final = 1_200  # of a bearer token: ten tries
LOGIN_FAILURE_S: Final = 6  # until one failure is forgotten: 14 400 guesses a day, of 2^256 for a token

# --- what anybody may ask and send --------------------------------------------
LOOKUPS: Final = 60  # of registration data and tickets, of one source in LOOKUPS_S: a person's pace, a slow copy
LOOKUPS_S: Final = 60
COMPLAINTS: Final = 10  # that one source may file in COMPLAINTS_S; nobody has so many reasons
COMPLAINTS_S: Final = 3_600
COMPLAINTS_WAITING_MAX: Final = 5_000  # that wait for an answer; more than a year of a busy node, 40 MB at most
COMPLAINT_CHARS_MAX: Final = 2_000  # of what somebody complains of, and of the reply: a page and a half
COMPLAINT_SUBJECT_CHARS_MAX: Final = 255  # an identifier
COMPLAINT_BODY_BYTES_MAX: Final = 65_536  # of a form or JSON; the longest text, each octet of it as %XX, and the rest
COMPLAINT_FIELDS_MAX: Final = 32  # of a form; four times what it has
COMPLAINT_DAYS: Final = 15  # calendar days until the answer; the Measures say "in time"
COMPLAINT_DAYS_MAX: Final = 90

# --- listings --------------------------------------------------------------
LIST_HANDLES_MAX: Final = 1_048_576  # handles in one answer; beyond it: ask by pages
LIST_BYTES_MAX: Final = 33_554_432  # of a list of messages over HTTP; beyond it: ask over TCP
LIST_CHUNK: Final = 5_000  # keys read between two turns of the event loop
PAGE_CHUNK: Final = 200  # rows of the management API, the same: each is unpacked, some milliseconds in all
ALIAS_HOPS_MAX: Final = 10

# --- parties ---------------------------------------------------------------
PARTY_FORM_FIELDS_MAX: Final = 128  # three times what table T6 has
PARTY_UNKNOWN_NAMED_MAX: Final = 16  # unknown fields that get a fault each; the rest is one more
PARTY_NAME_CHARS_MAX: Final = 128  # of an organisation; registers allow fewer
PARTY_PERSON_CHARS_MAX: Final = 64  # of a person's name; transcribed names of minorities take up to 50
PARTY_ADDRESS_CHARS_MAX: Final = 256
PARTY_TEXT_CHARS_MAX: Final = 256
PARTY_PROFILE_CHARS_MAX: Final = 500  # table T1 says "about 200"
PARTY_CODE_CHARS_MAX: Final = 32  # as typed, of a code, number or date with what stands around it
PARTY_CERTIFICATE_CHARS_MAX: Final = 64  # of a certificate of another kind
PARTY_URL_CHARS_MAX: Final = 2_048
PARTY_ITEMS_MAX: Final = 64  # of a list
PARTY_LIST_CHARS_MAX: Final = 4_096  # of a list as one text
EMAIL_CHARS_MAX: Final = 254  # RFC 5321 §4.5.3.1.3, without the brackets
EMAIL_LOCAL_CHARS_MAX: Final = 64  # RFC 5321 §4.5.3.1.1
DOMAIN_CHARS_MAX: Final = 253  # RFC 1035 §2.3.4, as text
SEALED_BYTES_MAX: Final = 65_536  # of one sealed field; four times what the longest text takes

# --- batches and the registrar ---------------------------------------------
BATCH_ITEMS_MAX: Final = 10_000
BATCH_BODY_BYTES_MAX: Final = 33_554_432
FRAME_BYTES_MAX: Final = 3 * BATCH_BODY_BYTES_MAX  # an answer echoes identifiers, escaped
GROUP_REQUESTS_MAX: Final = 512  # requests in one transaction; keeps a commit short
REGISTRAR_WAITING_MAX: Final = 1_024  # requests of one worker under way
REGISTRAR_WAIT_S: Final = 3.0  # how long a write waits for a registrar that restarts
REGISTRAR_ANSWER_S: Final = 60.0  # then the outcome is reported as unknown

# --- idempotency -----------------------------------------------------------
IDEMPOTENCY_KEY_CHARS_MAX: Final = 64
IDEMPOTENCY_KEPT_MS: Final = 30 * 86_400_000
IDEMPOTENCY_SWEEP: Final = 8  # expired tokens removed with each new one

# --- store -----------------------------------------------------------------
STORE_KEY_BYTES_MAX: Final = 511  # LMDB's compiled-in limit
MAP_SIZE_BYTES: Final = 1 << 40
MAP_SIZE_BYTES_MIN: Final = 1 << 24
STORE_ROOM_BYTES: Final = 4_194_304  # less room than this after a failed write: the disk is full
READERS_MAX: Final = 1_024
READER_CHECK_S: Final = 10
COMMIT_TRIES_MAX: Final = 3  # when another process wrote a row that was read

# --- resolution log --------------------------------------------------------
LOG_FRAME_ROWS_MAX: Final = 1_024  # entries in one frame of the spool
LOG_FRAME_BYTES_MAX: Final = 8_388_608  # of a frame that is read; so many rows take half of it
LOGGED_IDENTIFIER_BYTES: Final = 2_048  # of an identifier as asked; a longer one is none, and is cut
SEGMENT_BYTES: Final = 67_108_864  # then a worker begins the next file
SEGMENT_S: Final = 3_600  # the same: addresses of clients do not stay in it
SEGMENT_READ_BYTES: Final = 1_048_576
LOG_SYNC_MS: Final = 50  # what a loss of power may take of the log
LOG_SYNC_MS_MAX: Final = 1_000
LOG_ROUND_S: Final = 1.0  # between two rounds of the sequencer: what was answered is published so soon
LOG_ROUND_ROWS: Final = 100_000  # resolutions of one round; about 10 MB
LOG_TAKEN_ROWS: Final = 4_096  # of one segment that are in memory at once: what is small stays in the caches
LOG_ROUND_ENTRIES: Final = 20_000  # entries of other streams, the same
LOG_BLOCK_MS: Final = 1_000  # that one block of resolutions spans
LOG_MONTH_GRACE_MS: Final = 2_000  # into a month until its log begins: what was written before is on its way
LOG_MONTH_NEAR_MS: Final = 60_000  # before the end of a month: until then, what is dated behind it was dated wrongly
LOG_CLIENTS_KEPT: Final = 200_000  # addresses whose keyed hash is remembered, some 30 MB
LOG_RESYNC_BYTES: Final = 1_048_576  # that are searched for the next frame behind a damaged one
LOG_DROP_EVERY_S: Final = 3_600.0  # between two looks for months that may go
CLOCK_SETTLED_S: Final = 86_400.0  # from a start, or a jump of the clock, until the clock alone is believed
CLOCK_STEP_MS: Final = 10_000  # that the clock may move against the one that never jumps; more is written down
LOG_RETRY_S: Final = 1.0  # how long a log that could not be written is let alone
RETENTION_MONTHS: Final = 12
RETENTION_MONTHS_MIN: Final = 6  # Measures art. 13-15: no log is kept shorter
RETENTION_MONTHS_MAX: Final = 1_200  # a century
LOG_CHARS_MAX: Final = 20  # of the name of a log: registration/2026-03
LOG_HOLDS_MAX: Final = 1_000  # months of logs on legal hold: four streams over twenty years
DISK_STOP_BYTES: Final = 1 << 30  # free, below it nothing is registered: days of resolutions, mostly
DISK_RESERVE_BYTES: Final = 1 << 28  # free, below it nothing is resolved: what the keeper needs to publish what was
DISK_BYTES_MAX: Final = 1 << 50
DISK_LOOK_S: Final = 0.25  # how old the answer of the file system may be
ORIGIN_CHARS_MAX: Final = 200  # of the host in the names of the logs

# --- reading the logs ------------------------------------------------------
MIRROR_FILE_ROWS: Final = 1_000_000  # entries in one file of the mirror: what one sorts within MIRROR_MEMORY
MIRROR_GROUP_ROWS: Final = 16_384  # in one row group: what is read for one identifier
MIRROR_MEMORY: Final = "512MB"  # of DuckDB, beyond which it sorts on the disk
MIRROR_EVERY_S: Final = 300  # how much of the newest is looked up in the log itself
QUERY_MEMORY: Final = "1GB"
EXPORT_FILE_ROWS: Final = 1_000_000  # of one file; Excel opens 1 048 576

LOG_MONTHS_MAX: Final = 1_200  # of one stream that are listed: a hundred years
LOG_VKEY_FILE_BYTES_MAX: Final = 4_096  # of the vkey of a month; a vkey has some hundred
LOG_FILES_OPEN: Final = 64  # of the logs that one worker sends at the same time; eight times a browser's connections
LOG_PIECE_BYTES: Final = 65_536  # of a file of the logs in memory; a bundle has up to 16.8 MB

# --- witness of the logs ---------------------------------------------------
WITNESS_BODY_BYTES_MAX: Final = 65_536  # of a request: 63 hashes and a checkpoint with 16 signatures take 60 000
WITNESS_HASHES_MAX: Final = 63  # of a proof of consistency; C2SP tlog-witness
WITNESS_ANSWER_BYTES_MAX: Final = 16_384  # of an answer: lines of signatures
WITNESS_ANSWER_S: Final = 10.0  # in which an answer is there
WITNESS_INTERVAL_S: Final = 5.0  # between two checkpoints of one log that are sent
WITNESS_RETRY_S: Final = 5.0  # after the first failure; twice as long after each one that follows
WITNESS_RETRY_S_MAX: Final = 300.0
WITNESS_KEY_FILE_BYTES_MAX: Final = 4_096

# --- governance ------------------------------------------------------------
APPLICATION_STEPS: Final = 64  # of one prefix that its row keeps; the journal keeps all
PARTY_STEPS: Final = 64  # of one verification, the same
CORRECTIONS_MAX: Final = 50  # fields that one review asks to be corrected
REASON_CHARS_MAX: Final = 500
REPORT_GRACE_MS: Final = 300_000  # from the end of an hour until its figures are surely in the published log
DOWNTIME_DAYS_MAX: Final = 31  # of one planned downtime; a longer one is no downtime of a month
DOWNTIME_PAST_DAYS_MAX: Final = 62  # it may be entered later, as long as the report of its month is not long sent
PERSON_NAME_CHARS_MAX: Final = 100  # --actor, the holder of a token
EVIDENCE_BYTES_MAX: Final = 67_108_864  # a file whose digest is kept
FILERS_MAX: Final = 64  # people who filed one party or application: none of them may review it
PARTY_PREFIXES_MAX: Final = 1_000
CONFIRM_DAYS: Final = 365
CONFIRM_DAYS_MAX: Final = 3_650
BEARER_DAYS: Final = 90
BEARER_DAYS_MAX: Final = 366
REVIEWERS_NEEDED: Final = 2  # who verify a party by hand (and approve a prefix whose name is held)
REFUSALS_KEPT_PER_S: Final = 50  # entries of refusals; more are counted and logged alone
LOGIN_REFUSALS_KEPT_PER_S: Final = 5  # of failed log-ins, which any stranger can cause: beside the others
SOURCE_REFUSALS_KEPT_PER_S: Final = 5  # of one source in the log; it counts what is beyond
SOURCE_LOGIN_REFUSALS_KEPT_PER_S: Final = 2  # the same of failed log-ins: no source takes the room of all others
REFUSAL_SOURCES_MAX: Final = 32  # whose refusals are counted apart, of strangers and of others; the rest as one
ORDER_CHARS_MAX: Final = 100  # the number of an order of the regulator
HOLD_ORDERS_MAX: Final = 16  # in force on one target
HOLDS_MAX: Final = 100_000  # targets on hold; more than that is a prefix
LISTED_MAX: Final = 1_000  # rows of one page of the management API
INCIDENT_TITLE_CHARS_MAX: Final = 200
INCIDENT_TEXT_CHARS_MAX: Final = 4_000  # of what happened, what is affected, the cause: two pages of a form each
INCIDENT_MEASURE_CHARS_MAX: Final = 1_000
INCIDENT_MEASURES_MAX: Final = 64  # of one incident; a signed report with all of them stays below half a mebibyte
INCIDENT_REPORTS_MAX: Final = 32  # revisions of one incident's report: one a day for a month
INCIDENTS_OPEN_MAX: Final = 1_000  # not closed at once; all of them are read for the metrics
INCIDENT_STEPS: Final = 64  # of one incident that its row keeps; the journal keeps all
INCIDENT_TO_CHARS_MAX: Final = 100  # whom a report is for
INCIDENT_REPORT_HOURS: Final = 24  # from discovery to the first report
POLICY_NAMES_MAX: Final = 1_000
POLICY_NAME_CHARS_MAX: Final = 100

# --- lots ------------------------------------------------------------------
LOT_CHARS_MAX: Final = 111  # prefix, slash, lot code
LOT_PACKED_MAX: Final = 1_000  # in one case, or on one pallet: an answer names them all
LOT_VALUES_BYTES_MAX: Final = 16_384  # that all units of a lot share; every answer for one of them has them
LOT_LINE_CHARS_MAX: Final = 32
LOT_BLOCKS_MAX: Final = 4_096  # of one lot: more than 250 codes each
LOT_CODES_MAX: Final = 10_000  # in one answer
LOT_EVENTS_BODY_BYTES_MAX: Final = 8_388_608  # of BATCH_ITEMS_MAX events; three times what they take
LOT_BATCH_STEPS: Final = 300_000  # of work that a batch of events may make, about 2 µs each; 10 000 codes: 210 000
LOT_EVENT_STEPS: Final = 1_500_000  # that its first event may make by itself: a recall over 125 000 runs
LOT_EVENT_FUTURE_MS: Final = 300_000  # how far the clock of a line may be ahead
LOT_HISTORY_ROWS: Final = 10_000  # newest events of a lot that are looked through for one unit: 25 milliseconds
LOT_PRODUCT_BYTES_MAX: Final = 98_304  # of a product whose values its units say, too; of a larger one they name it
LOTS_KEPT_BYTES: Final = 50_331_648  # of products and forms of answer that a worker keeps; then it begins anew
LOT_KEYS_RETRY_S: Final = 5.0  # until the key file is read again for a key that it lacked
LOTS_KEPT_MAX: Final = 12_288  # that a worker remembers, about 4 KiB each
LOT_SHAPES_MAX: Final = 8  # forms of answer that are kept of one lot: state, time, packed or not

# --- metadata templates (T4, T11) -------------------------------------------
METADATA_CODE_CHARS_MAX: Final = 64  # with the version it is a segment of a path: PREFIX_CHARS_MAX
METADATA_VERSION_NUMBERS_MAX: Final = 4
METADATA_VERSION_DIGITS_MAX: Final = 8  # of one number: a date is one, too
METADATA_VERSION_CHARS_MAX: Final = 36  # four numbers, three dots, the V
METADATA_NAME_CHARS_MAX: Final = 128
METADATA_DESCRIPTION_CHARS_MAX: Final = 500
METADATA_LEVEL_CHARS_MAX: Final = 32  # of an industry, which is a letter or up to four digits
METADATA_ITEMS_MAX: Final = 200  # one of each still leaves room in a record
METADATA_ITEM_CHARS_MAX: Final = 64  # of an item's English name
METADATA_ALIAS_CHARS_MAX: Final = 64
METADATA_UNIT_CHARS_MAX: Final = 32
METADATA_LENGTH_MAX: Final = 65_536  # characters of an item's data; a quarter of a record
METADATA_VERSIONS_MAX: Final = 4_096  # of all templates together
METADATA_PARTY_VERSIONS_MAX: Final = 256  # of one party's templates
METADATA_FORM_MEMBERS_MAX: Final = 64  # of one object of the form; four times what it has
METADATA_FAULTS_MAX: Final = 100  # of a form that are told one by one
METADATA_FAULTS_TOLD: Final = 20  # of a record; more are counted
# --- public duties ---------------------------------------------------------
LICENCE_WARN_DAYS: Final = 90  # so long before its licence ends the node says so; renewal takes weeks
DUTY_TEXT_CHARS_MAX: Final = 500  # of one text that /about publishes
DUTY_ITEMS_MAX: Final = 50  # services, time limits, fees: of each
PUBLIC_PAGE_S: Final = 60  # how long others may keep a copy of / and /about

# --- transfer of prefixes --------------------------------------------------
TRANSFER_LINE_BYTES_MAX: Final = 2_097_152  # a record of RECORD_BYTES_MAX in base64; an application with its site
TRANSFER_HEAD_BYTES_MAX: Final = 4 * TRANSFER_LINE_BYTES_MAX  # header, application, party, prefix handle
TRANSFER_WORD_CHARS_MAX: Final = 64  # of a role, an act, an outcome, a rule, a method; the longest of ours has 24
TRANSFER_SOURCE_CHARS_MAX: Final = 1_000  # of what a verification rests on: the names of all fields are some 600
TRANSFER_KINDS_MAX: Final = 64  # of lines that a last line counts
IMPORT_KEYS_MAX: Final = 1_000

# --- processes -------------------------------------------------------------
WORKERS_MAX: Final = 64
LISTEN_BACKLOG: Final = 1_024
LOCK_WAIT_S: Final = 2.0  # processes of a node that was killed need a moment to end
READY_S: Final = 30.0
RESTART_DELAY_S_MIN: Final = 0.05
RESTART_DELAY_S_MAX: Final = 5.0
RESTART_HEALTHY_S: Final = 0.5  # one that lived so long is started again at once; that is twice a second at most

# --- command line ----------------------------------------------------------
IMPORT_CHUNK_ITEMS: Final = 1_000
IMPORT_CHUNK_BYTES: Final = 4_194_304
IMPORT_LINE_BYTES_MAX: Final = 2_097_152

# --- packing line ----------------------------------------------------------
LINE_FRAME_BYTES_MAX: Final = 262_144  # of one line of a run's file; ten times what a case of LINE_CHILDREN_MAX takes
LINE_INPUT_BYTES_MAX: Final = 262_144  # of one line of the camera: a case that lists its bags
LINE_CODE_CHARS_MAX: Final = 512  # of what the camera read: an address with parameters, every element of GS1
LINE_READ_BYTES: Final = 65_536  # of the camera's lines that are synced together; some hundreds
LINE_CHILDREN_MAX: Final = 1_000  # bags of one case, cases of one pallet; the node takes no more
LINE_ALARMS_KEPT: Final = 10_000  # alarms that are known again when the camera repeats a line
LINE_ALARM_CHARS_MAX: Final = 512  # of the camera's line that an alarm keeps
LINE_SEEN_MAX: Final = 10_000  # codes that one refused line is searched for; ten times those of a case
LINE_TOLD_CHARS_MAX: Final = 1_000  # of what a node says that is told on, or kept
LINE_NAME_CHARS_MAX: Final = 32  # of a site, a line, a run
LINE_FUTURE_MS: Final = 300_000  # how far a camera's clock may be ahead; the node takes no more
LINE_BATCH_ITEMS_MAX: Final = 10_000  # of one upload; the node takes no more
LINE_CODES_PAGE: Final = 10_000  # codes asked for at once
LINE_DIFFERENCES_TOLD: Final = 1_000  # codes that a reconciliation lists; more are counted
LINE_TRIES: Final = 6  # of one request; the waits between them are 16 seconds in all
LINE_RETRY_S: Final = 0.5  # before the second try; twice as long before each one that follows
LINE_RETRY_S_MAX: Final = 30.0  # also of what Retry-After asks for
LINE_TIMEOUT_S: Final = 30.0  # in which a node says anything
LINE_ANSWER_S: Final = 120.0  # in which its answer is there
LINE_ANSWER_BYTES_MAX: Final = 33_554_432  # ten thousand items, each refused with a message
LINE_TOKEN_BYTES_MAX: Final = 4_096  # of the file of a bearer token
