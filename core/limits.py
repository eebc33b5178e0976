"""Every bound of the node, with its unit and its reason.

A bound that an operator may move stands in ``core.config`` and takes its default
and its own bounds from here.
"""

from typing import Final

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

# --- administration --------------------------------------------------------
ADMIN_GROUP_HANDLES_MAX: Final = 256  # groups (HS_VLIST) walked for one decision
ADMIN_GROUP_MEMBERS_MAX: Final = 10_000  # members looked at for one decision; a few milliseconds
SECRET_BYTES_MAX: Final = 1_024

# --- templates (HS_NAMESPACE) ----------------------------------------------
TEMPLATE_BYTES_MAX: Final = 65_536
TEMPLATE_DEPTH_MAX: Final = 16  # nesting of XML elements
TEMPLATE_REF_DEPTH_MAX: Final = 10  # as the reference server
TEMPLATE_ELEMENTS_MAX: Final = 512
TEMPLATE_TEXT_CHARS_MAX: Final = 16_384  # of one text after replacement

# --- HTTP ------------------------------------------------------------------
HTTP_HEAD_BYTES_MAX: Final = 16_384
HTTP_HEADERS_MAX: Final = 100
QUERY_FIELDS_MAX: Final = 2_100  # as many index= as a record has values, and some
BODY_BYTES_MAX: Final = 2_097_152  # one record as JSON: base64 and escapes included
GZIP_BYTES_MIN: Final = 1_024  # as the reference server: 1 023 stays plain
HTTP_IDLE_S: Final = 75
BODY_S: Final = 60  # a body that takes longer is refused
BODIES_BYTES_MAX: Final = 134_217_728  # of all bodies that one worker holds
LINGER_S: Final = 2  # how long the rest of a refused body is read away, so that the answer arrives
DRAIN_S: Final = 5  # how long requests under way may take after SIGTERM

# --- listings --------------------------------------------------------------
LIST_HANDLES_MAX: Final = 1_048_576  # handles in one answer; beyond it: ask by pages
LIST_CHUNK: Final = 5_000  # keys read between two turns of the event loop
ALIAS_HOPS_MAX: Final = 10

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

# --- processes -------------------------------------------------------------
WORKERS_MAX: Final = 64
LISTEN_BACKLOG: Final = 1_024
LOCK_WAIT_S: Final = 2.0  # processes of a node that was killed need a moment to end
READY_S: Final = 30.0
RESTART_DELAY_S_MIN: Final = 0.05
RESTART_DELAY_S_MAX: Final = 5.0
RESTART_HEALTHY_S: Final = 10.0

# --- command line ----------------------------------------------------------
IMPORT_CHUNK_ITEMS: Final = 1_000
IMPORT_CHUNK_BYTES: Final = 4_194_304
IMPORT_LINE_BYTES_MAX: Final = 2_097_152
