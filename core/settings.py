"""The settings table.

``SETTINGS`` is the only list of settings: the loader (``core/config.py``), ``saltern config`` and the reference page
``docs/reference/settings.md`` are made from it. Secrets never stand here: a setting names the file that holds one.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from core import limits

Value = int | bool | str | tuple[int | str, ...]
Kind = Literal["integer", "flag", "text", "path", "list", "day"]


class Setting(NamedTuple):
    """One row of the table. ``low`` and ``high`` bound integers, both included. A day is kept as YYYY-MM-DD.

    ``empty``: whether a text may be that although its default is not.
    """

    name: str
    kind: Kind
    default: Value
    help_en: str
    help_zh: str
    unit: str = ""
    low: int = 0
    high: int = 2**63 - 1
    choices: tuple[str, ...] = ()
    empty: bool = False


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "node.prefix", "text", "",
        "The operator's first prefix; a number in handle.server_admins is a value of 0.NA/<prefix>.",
        "运营者的第一个前缀；handle.server_admins 中的数字指 0.NA/<前缀> 的值索引。",
    ),
    Setting(
        "node.profile", "text", "development",
        "In production two people are told apart by uid or token, not by name alone, service sites of delegated "
        "prefixes must be public addresses, and the node does not start without what [about] publishes and [licence].",
        "production（生产）中以 uid 或令牌（而不只是姓名）区分两人，委托前缀的站点须为公网地址，"
        "未填写 [about] 公布事项与 [licence] 许可信息时节点不启动。",
        choices=("development", "production"),
    ),
    Setting(
        "node.public_url", "text", "",
        "Address that others reach the pages of this node at, as https://id.example.cn; links in JSON begin with it.",
        "外部访问本节点网页的地址，如 https://id.example.cn；JSON 中的链接以其开头。",
    ),
    Setting("node.data", "path", "data", "Data folder.", "数据目录。"),
    Setting(
        "node.public_addresses", "list", (),
        "IPv4 and IPv6 addresses that others reach this node at.",
        "外部访问本节点的 IPv4、IPv6 地址。",
    ),
    Setting(
        "node.signing_key", "path", "keys/node.pem",
        "PEM private key (Ed25519) that this node signs reports and exports with, mode 0600.",
        "本节点签署报告和导出文件的私钥（Ed25519，PEM），权限 0600。",
    ),
    # What /about publishes (Measures art. 6, 9, 12, 13). In production all but the website is required.
    Setting("about.operator", "text", "", "Full name of the operator of this node.", "本节点运营者全称。"),
    Setting("about.website", "text", "", "Website of the operator.", "运营者网站。"),
    Setting(
        "about.services", "list", (),
        "Services that this node offers, a text each; Chinese and English beside each other.",
        "本节点提供的服务，每项一条文字，中英文并列。",
    ),
    Setting(
        "about.time_limits", "list", (),
        "Time limits of the services, a text each.",
        "各项服务的办理时限，每项一条文字。",
    ),
    Setting(
        "about.fees", "list", (),
        "Fees of the services, a text each; that they are free is to be said, too.",
        "收费项目与标准，每项一条文字；不收费也须写明。",
    ),
    Setting(
        "about.department", "text", "",
        "Department that is responsible for the services.",
        "服务的责任部门。",
    ),
    Setting(
        "about.person", "text", "",
        "Name of the person who is responsible; it is published.",
        "责任人姓名（将予公布）。",
    ),
    Setting(
        "about.complaint_contact", "text", "",
        "How to complain: phone number, mail address.",
        "投诉联系方式：电话、电子邮箱。",
    ),
    Setting("licence.number", "text", "", "Number of the licence.", "许可证编号。"),
    Setting("licence.issuer", "text", "", "Authority that gave the licence.", "发证机关。"),
    Setting("licence.scope", "text", "", "Scope of the licence.", "许可范围。"),
    Setting(
        "licence.valid_from", "day", "",
        "First day of the licence, YYYY-MM-DD in China; in production registration is closed before it.",
        "许可有效期起始日（YYYY-MM-DD，北京时间）；生产配置中此前不受理注册。",
    ),
    Setting(
        "licence.valid_until", "day", "",
        "Last day of the licence, YYYY-MM-DD in China. In production registration is closed when it is over, and "
        "resolution goes on.",
        "许可有效期截止日（含当日，YYYY-MM-DD，北京时间）；生产配置中到期后停止注册，解析照常。",
    ),
    Setting(
        "http.address", "text", "127.0.0.1",
        "Address that HTTP and HTTPS listen on; 0.0.0.0 or :: for all.",
        "HTTP 与 HTTPS 监听地址；0.0.0.0 或 :: 表示全部。",
    ),
    Setting(
        "http.port", "integer", 8000, "HTTP port; 0 is any free one.", "HTTP 端口；0 表示任一空闲端口。",
        "port", 0, 65_535,
    ),
    Setting(
        "http.plain_auth", "text", "loopback",
        "Where credentials are taken over plain HTTP: from loopback, or never.",
        "明文 HTTP 上在何处接受凭据：仅本机回环（loopback），或从不（never）。",
        choices=("loopback", "never"),
    ),
    Setting(
        "http.trusted_proxies", "list", (),
        "Networks and addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; these "
        "headers of anybody else are not read.",
        "可信反向代理的网段与地址：仅采信其 X-Forwarded-For 与 X-Forwarded-Proto，其他来源的此类请求头不予读取。",
    ),
    Setting(
        "http.rate_limit", "integer", limits.RATE_PER_S,
        "Requests over HTTP and HTTPS that one source may make a second, and at once; 0 is no limit. A source is an "
        "IPv4 address or an IPv6 /64.",
        "每个来源每秒（及一次突发）可发出的 HTTP 与 HTTPS 请求数；0 表示不限。来源指一个 IPv4 地址或一个 IPv6 /64。",
        "requests", 0, limits.RATE_PER_S_MAX,
    ),
    Setting(
        "https.port", "integer", 8443, "HTTPS port; 0 is any free one.", "HTTPS 端口；0 表示任一空闲端口。",
        "port", 0, 65_535,
    ),
    Setting(
        "https.certificate", "path", "",
        "PEM certificate chain; HTTPS is off while this is empty.",
        "PEM 证书链；为空则不启用 HTTPS。",
    ),
    Setting("https.key", "path", "", "PEM private key of the certificate, mode 0600.", "证书私钥（PEM），权限 0600。"),
    Setting(
        "handle.address", "text", "127.0.0.1",
        "Address that the Handle protocol listens on; 0.0.0.0 or :: for all.",
        "Handle 协议监听地址；0.0.0.0 或 :: 表示全部。",
    ),
    Setting(
        "handle.port", "integer", 2641,
        "Handle protocol port, UDP and TCP; 0 is any free one.",
        "Handle 协议端口（UDP 与 TCP）；0 表示任一空闲端口。", "port", 0, 65_535,
    ),
    Setting(
        "handle.sessions", "flag", True,
        "Offer Diffie-Hellman sessions; without them clients answer a challenge for each change.",
        "是否提供 Diffie-Hellman 会话；不提供时客户端对每次变更应答质询。",
    ),
    Setting(
        "handle.udp_answer_max", "integer", limits.UDP_ANSWER_BYTES,
        "Longest answer by UDP, whose source may be forged; a longer one is cut and asked for by TCP.",
        "UDP 应答的最大长度（来源可能伪造）；更长的应答被截断，由客户端改用 TCP。",
        "bytes", limits.UDP_PACKET_BYTES, limits.UDP_ANSWER_BYTES_MAX,
    ),
    Setting(
        "handle.rate_limit", "integer", limits.RATE_PER_S,
        "The same over the Handle protocol; counted apart from http.rate_limit, and UDP apart from TCP.",
        "同上，适用于 Handle 协议；与 http.rate_limit 分别计数，UDP 与 TCP 也分别计数。",
        "requests", 0, limits.RATE_PER_S_MAX,
    ),
    Setting("handle.root", "flag", False, "Home 0.NA itself.", "是否承载 0.NA 本身。"),
    Setting(
        "handle.server_admins", "list", (),
        "Server administrators: value indexes of 0.NA/<node.prefix>, or INDEX:HANDLE.",
        "服务器管理员：0.NA/<node.prefix> 的值索引，或“索引:标识”。",
    ),
    Setting(
        "handle.server_key", "path", "",
        "PEM private key of this server, shown in its site information, mode 0600.",
        "本服务器的私钥（PEM），其公钥列于站点信息，权限 0600。",
    ),
    Setting(
        "party.keys", "path", "keys/identity.keys",
        "Keys that identity data of parties is encrypted with, mode 0600, outside the store; `saltern party rekey` "
        "adds one. Keep a copy apart from backups of the store.",
        "加密主体身份信息的密钥文件，权限 0600，位于存储之外；`saltern party rekey` 新增密钥。请与存储备份分开保存。",
    ),
    Setting(
        "lots.keys", "path", "keys/lots.keys",
        "Master keys that the unit codes of lots are made with, mode 0600, outside the store; `saltern lot rekey` adds "
        "one for new lots. Keep a copy apart: without them no bag is known again.",
        "各批次单元码的主密钥文件，权限 0600，位于存储之外；`saltern lot rekey` 新增密钥，用于此后的批次。请另存副本："
        "丢失后所有单元码都无法识别。",
    ),
    Setting(
        "party.confirm_days", "integer", limits.CONFIRM_DAYS,
        "How long the confirmed contact of a party counts; then it has to be confirmed again before the party gets "
        "another prefix.",
        "主体联系信息确认后的有效期；逾期须重新确认，方可再申请前缀。", "days", 1, limits.CONFIRM_DAYS_MAX,
    ),
    Setting(
        "complaint.days", "integer", limits.COMPLAINT_DAYS,
        "Calendar days of Asia/Shanghai until a complaint is answered; it holds for those that are filed from now on.",
        "投诉答复时限（北京时间，自然日）；适用于此后提交的投诉。", "days", 1, limits.COMPLAINT_DAYS_MAX,
    ),
    Setting(
        "prefix.deny", "list", (),
        "Patterns of names that are refused: a prefix, or the name of its party, that fits one; * is any characters, "
        "? is one.",
        "禁用名单：与任一模式相符的前缀或主体名称不予受理；* 表示任意字符，? 表示一个字符。",
    ),
    Setting(
        "prefix.hold", "list", (),
        "Patterns of names that two reviewers have to approve.",
        "须由两名审核人通过的名称模式。",
    ),
    Setting(
        "prefix.import_keys", "list", (),
        "Ids of the keys whose exports this node takes over (`saltern prefix import`): 32 hexadecimal digits each, "
        "as the other node tells them. In production a prefix that another key signed is refused.",
        "本节点接受其导出文件的签名密钥编号（`saltern prefix import`），各为 32 位十六进制数字，由对方节点告知。"
        "production 中，其他密钥签署的前缀不予导入。",
    ),
    Setting(
        "prefix.site_networks", "list", (),
        "Networks that service sites of delegated prefixes may lie in beside public addresses; in the development "
        "profile loopback and private networks are allowed, too.",
        "委托前缀的解析站点除公网地址外可用的网段；development 中也允许回环与私有地址。",
    ),
    Setting(
        "incident.report_hours", "integer", limits.INCIDENT_REPORT_HOURS,
        "Hours from the discovery of an incident to its first report; an incident keeps the deadline that it was "
        "opened with.",
        "从发现事件到首次报告的时限；事件沿用其登记时的时限。", "hours", 1, limits.INCIDENT_REPORT_HOURS,
    ),
    Setting(
        "handle.case_sensitive", "flag", False,
        "Whether suffixes that differ in case are different; prefixes and all of 0.NA/ fold in any case. Can be "
        "switched only while the store has no record outside 0.NA/ and no lot.",
        "后缀是否区分大小写；前缀与 0.NA/… 始终不区分。只有存储中除 0.NA/… 外没有记录、也没有批次时才能切换。",
    ),
    Setting(
        "handle.site", "path", "",
        "JSON file with the site that this node is a server of, as the member site of /api/site; "
        "empty: the node describes itself.",
        "本节点所属站点的 JSON 文件，形式同 /api/site 的 site 成员；为空则由节点描述自身。",
    ),
    Setting(
        "handle.server_id", "integer", 1,
        "Which server of handle.site this node is: its serverId.",
        "本节点是 handle.site 中的哪一台服务器（serverId）。", "serverId", 0, 2**31 - 1,
    ),
    Setting(
        "handle.prefix_length_max", "integer", limits.PREFIX_CHARS,
        "Longest prefix.", "前缀最大长度。", "characters", 1, limits.PREFIX_CHARS_MAX,
    ),
    Setting(
        "handle.length_max", "integer", limits.HANDLE_CHARS,
        "Longest handle.", "标识最大长度。", "characters", 3, limits.HANDLE_CHARS_MAX,
    ),
    Setting(
        "dns.port", "integer", 5300,
        "DNS port, UDP and TCP; 0 is any free one.", "DNS 端口（UDP 与 TCP）；0 表示任一空闲端口。", "port", 0, 65_535,
    ),
    Setting(
        "dns.address", "text", "127.0.0.1",
        "Address that DNS listens on; 0.0.0.0 or :: for all.", "DNS 监听地址；0.0.0.0 或 :: 表示全部。",
    ),
    Setting(
        "dns.ors_suffix", "text", "oid-res.org",
        "Name below which OIDs are answered by DNS (ITU-T X.672), the apex of a zone. Empty: none are.",
        "OID 在 DNS 中的后缀（ITU-T X.672），即区的顶点；为空则不以 DNS 应答 OID。", empty=True,
    ),
    Setting(
        "dns.ons_suffix", "text", "gs1.id.onsepc.com",
        "Name below which GTINs are answered by DNS (GS1 ONS), the apex of a zone. Empty: none are.",
        "GTIN 在 DNS 中的后缀（GS1 ONS），即区的顶点；为空则不以 DNS 应答 GTIN。", empty=True,
    ),
    Setting(
        "dns.ors_services", "list", ("COID", "CINF", "RINF", "UINF"),
        "Types of service that an OID is answered with, of COID, CINF, RINF and UINF; NAME=TEXT puts TEXT "
        "in the place of ORS+NAME.",
        "OID 应答的服务类型，取自 COID、CINF、RINF、UINF；NAME=TEXT 表示以 TEXT 代替 ORS+NAME。",
    ),
    Setting(
        "dns.ons_service", "text", "https://www.gs1.org/voc/pip",
        "Service that a GTIN is answered with.", "GTIN 应答的服务标识。",
    ),
    Setting(
        "dns.oid_labels", "list", ("0=itu-t", "1=iso", "2=joint-iso-itu-t", "1.2=member-body", "1.2.156=cn"),
        "Names of arcs, OID=LABEL, that lead to the numbers (DNAME); a label may be Chinese.",
        "OID 弧的名称（OID=名称），以 DNAME 指向数字形式；名称可用中文。",
    ),
    Setting(
        "dns.nameservers", "list", (),
        "Name servers that the zones are published by, the first of them the primary; empty: ns.<apex>, at "
        "node.public_addresses.",
        "公开这些区的域名服务器，首个为主服务器；为空则为 ns.<顶点>，地址取自 node.public_addresses。",
    ),
    Setting(
        "dns.ttl", "integer", limits.DNS_TTL_S, "TTL of what DNS answers.", "DNS 应答的 TTL。",
        "s", 0, limits.DNS_TTL_S_MAX,
    ),
    Setting(
        "dns.negative_ttl", "integer", limits.DNS_NEGATIVE_TTL_S,
        "How long others remember that there is none.", "否定应答的缓存时间。", "s", 0, limits.DNS_TTL_S_MAX,
    ),
    Setting(
        "dns.udp_answer_max", "integer", limits.DNS_UDP_BYTES,
        "Longest answer over UDP; of a longer one the client is told to come by TCP.",
        "UDP 应答的最大长度；更长的应答提示改用 TCP。", "bytes", limits.DNS_PLAIN_UDP_BYTES, limits.DNS_UDP_BYTES_MAX,
    ),
    Setting(
        "dns.rate_limit", "integer", limits.RATE_PER_S,
        "As http.rate_limit, over DNS; UDP is counted apart from TCP.",
        "同 http.rate_limit，适用于 DNS；UDP 与 TCP 分别计数。", "requests", 0, limits.RATE_PER_S_MAX,
    ),
    Setting(
        "dns.tsig_file", "path", "",
        "File of the keys (TSIG) that zone transfers are asked with, mode 0600: as keymgr -t or tsig-keygen prints "
        "them, or NAME ALGORITHM BASE64. Empty: no zone is transferred.",
        "区传送所用 TSIG 密钥文件，权限 0600：keymgr -t 或 tsig-keygen 的输出，或每行 名称 算法 BASE64；为空则不允许"
        "区传送。",
    ),
    Setting(
        "dns.secondaries", "list", (),
        "Secondaries that are told of a changed zone (NOTIFY), ADDRESS or ADDRESS@PORT.",
        "区有变化时通知（NOTIFY）的从服务器：地址，或 地址@端口。",
    ),
    Setting(
        "management.port", "integer", 8001,
        "Port of metrics and health, on loopback only.", "指标与健康检查端口，仅限本机回环。", "port", 0, 65_535,
    ),
    Setting(
        "log.sync_interval", "integer", limits.LOG_SYNC_MS,
        "How often the resolution log is synced to the disk: what a loss of power may take of it.",
        "解析日志同步到磁盘的间隔：断电最多损失这段时间的记录。", "ms", 1, limits.LOG_SYNC_MS_MAX,
    ),
    Setting(
        "log.retention", "integer", limits.RETENTION_MONTHS,
        "Whole calendar months of Asia/Shanghai that each log is kept for; then it is dropped. The maintenance log is "
        "never dropped, nor is a log on legal hold.",
        "各项日志保存的整月数（北京时间）；期满后删除。运行维护日志从不删除，依令保全的日志也不删除。",
        "months", limits.RETENTION_MONTHS_MIN, limits.RETENTION_MONTHS_MAX,
    ),
    Setting(
        "log.disk_stop", "integer", limits.DISK_STOP_BYTES,
        "Free space on the disks of the data folder and its logs below which nothing is registered any more; "
        "resolution goes on. 0 is no guard.",
        "数据目录及日志所在磁盘的剩余空间低于此值时停止注册，解析照常；0 表示不设限。",
        "bytes", 0, limits.DISK_BYTES_MAX,
    ),
    Setting(
        "log.disk_reserve", "integer", limits.DISK_RESERVE_BYTES,
        "Free space below which resolution is refused, too: what cannot be logged is not answered. Less than "
        "log.disk_stop; 0 is no guard.",
        "剩余空间低于此值时解析也予拒绝（无法留存日志的解析不得应答）；须小于 log.disk_stop；0 表示不设限。",
        "bytes", 0, limits.DISK_BYTES_MAX,
    ),
    Setting(
        "log.origin", "text", "",
        "Host name in the names of the logs, which verifiers are told: keep it once logs are published. Empty: the "
        "host of node.public_url, else node.prefix.",
        "日志名称中的主机名，验证者据此识别日志，发布后不应更改；为空则取 node.public_url 的主机名，或 node.prefix。",
    ),
    Setting(
        "log.witness", "text", "",
        "Address of a witness that cosigns the checkpoints of the logs (C2SP tlog-witness), as "
        "https://witness.example.cn; add-checkpoint is called below it. Empty: none.",
        "见证方地址（C2SP tlog-witness），如 https://witness.example.cn，由其为各留存日志的检查点副署；为空则不设见证方。",
    ),
    Setting(
        "log.witness_key", "path", "",
        "File with the vkey of the witness, one line, as its operator tells it.",
        "见证方公钥（vkey）文件，一行，由其运营者告知。",
    ),
    Setting(
        "monitor.probe_interval", "integer", limits.PROBE_INTERVAL_S,
        "How often the node asks itself, and the sites of delegated prefixes, whether they answer. 0 is never: then it "
        "knows of no availability, and a top node takes it for unavailable.",
        "节点自测及对委托前缀站点探测的间隔；0 表示不探测，此时没有可用性数据，上级节点也视其为不可用。",
        "s", 0, limits.PROBE_INTERVAL_S_MAX,
    ),
    Setting(
        "monitor.limit", "integer", limits.PROBE_LIMIT_MS,
        "How long an answer to a probe may take; one that takes five times as long counts as none.",
        "探测应答的时限；超过其五倍视为没有应答。", "ms", 1, limits.PROBE_LIMIT_MS_MAX,
    ),
    Setting(
        "resolver.workers", "integer", 0,
        "Worker processes; 0 is one per core.", "解析进程数；0 表示每核一个。", "processes", 0, limits.WORKERS_MAX,
    ),
    Setting(
        "resolver.rate_limit_exempt", "list", limits.RATE_EXEMPT,
        "Networks and addresses that no rate limit holds for: this machine, a proxy that limits by itself, a "
        "platform of your own.",
        "不受速率限制的网段与地址：本机、自行限速的代理、自有平台。",
    ),
    Setting(
        "resolver.recursive", "flag", False,
        "Resolve identifiers of other nodes, too, for `saltern resolve` and GET /v1/resolve: by the top node or "
        "resolver.roots, resolver.name_servers, resolver.gs1.",
        "是否也为 `saltern resolve` 和 GET /v1/resolve 解析其他节点的标识（经上级节点或 resolver.roots、"
        "resolver.name_servers、resolver.gs1）。",
    ),
    Setting(
        "resolver.roots", "list", (),
        "Handle servers asked for handles of others, ADDRESS:PORT; empty: the connected top nodes, port 2641.",
        "解析其他节点 Handle 时所问的服务器（地址:端口）；为空则问已连接的上级节点，端口 2641。",
    ),
    Setting(
        "resolver.name_servers", "list", (),
        "DNS resolvers asked for OIDs of others, and for names in redirects: ADDRESS[@PORT]; empty: this machine's.",
        "解析其他节点 OID 及重定向中的域名时所问的 DNS 服务器：地址，或 地址@端口；为空则用本机设置。",
    ),
    Setting(
        "resolver.gs1", "text", "https://id.gs1.org",
        "GS1 resolver that is asked for GS1 keys of others.", "解析其他节点 GS1 标识时所问的解析器。",
    ),
    Setting(
        "store.map_size", "integer", limits.MAP_SIZE_BYTES,
        "Address space of the store; the file is sparse and the disk is the limit.",
        "存储的地址空间；文件为稀疏文件，以磁盘为限。", "bytes", limits.MAP_SIZE_BYTES_MIN, 1 << 46,
    ),
    Setting(
        "escrow.volume_size", "integer", limits.ESCROW_VOLUME_BYTES,
        "Octets of one volume of a deposit with the escrow agent.",
        "托管数据每卷的字节数。", "bytes", limits.ESCROW_VOLUME_BYTES_MIN, limits.ESCROW_VOLUME_BYTES_MAX,
    ),
    Setting(
        "sync.ca", "path", "",
        "PEM certificates that the top node's must be signed by; empty: those that the system trusts.",
        "签发上级节点证书的 CA 证书（PEM）；为空则用系统信任的证书。",
    ),
    Setting(
        "sync.client_certificate", "path", "",
        "PEM certificate chain that this node shows to the top node (mutual TLS). Empty: none.",
        "本节点向上级节点出示的证书链（PEM，双向 TLS）；为空则不出示。",
    ),
    Setting("sync.client_key", "path", "", "PEM private key of it, mode 0600.", "其私钥（PEM），权限 0600。"),
    Setting(
        "backup.folder", "path", "",
        "Folder that the node makes a backup in every night, on another disk if it can be (`saltern backup`). Empty: "
        "none is made.",
        "节点每夜将备份写入的目录，宜在另一磁盘（同 `saltern backup`）；为空则不自动备份。",
    ),
    Setting(
        "backup.keep", "integer", limits.BACKUP_KEEP,
        "Whole backups that are kept in backup.folder; the oldest go when there are more.",
        "backup.folder 中保留的完整备份数，超出时删除最早的。", "backups", 1, limits.BACKUP_KEEP_MAX,
    ),
    Setting(
        "escrow.to_key", "path", "",
        "Public key (PEM) of the escrow agent that deposits are encrypted to; the node then makes a DIFF each night "
        "and a FULL each week, and brings them up to the top nodes that it is connected to. Empty: off.",
        "数据托管方的公钥（PEM），托管数据以其加密；设置后节点每夜制作增量、每周制作全量，并报送已连接的上级节点；为空则不启用。",
    ),
    Setting(
        "escrow.folder", "path", "",
        "Folder that these deposits lie in, by prefix and day. Empty: `escrow` in the data folder.",
        "上述托管数据的存放目录，按前缀和日期分列；为空则为数据目录中的 `escrow`。",
    ),
    # What the national top-level node is owed (docking agreement of the national node §1: T1, T5, T10).
    Setting(
        "sync.operator", "text", "",
        "Id of the party that the operator of this node was filed as, as P000001: its subject data is table T1. Empty: "
        "T1 has no row.",
        "登记本节点运营者自身的主体编号（如 P000001），其主体资料即表 T1；为空则 T1 无数据。",
    ),
    Setting(
        "sync.certificate_image", "path", "",
        "Photograph of the operator's certificate (T1 field 6), PNG or JPEG of at most 1 MiB. Empty: none is sent.",
        "运营者单位证件照片（T1 第 6 项），PNG 或 JPEG，不超过 1 MiB；为空则不报送。",
    ),
    Setting(
        "sync.legal_rep_image", "path", "",
        "The same of its legal representative's certificate (T1 field 10).",
        "同上：法定代表人证件照片（T1 第 10 项）。",
    ),
    Setting(
        "sync.contact_image", "path", "",
        "The same of its contact's certificate (T1 field 18).",
        "同上：联系人证件照片（T1 第 18 项）。",
    ),
    Setting(
        "sync.applications", "path", "",
        "CSV file (UTF-8) of applications that use identifiers: prefix, name, type, introduction, users, resolvers, "
        "developer. No prefix: the node's own, table T5; else of an enterprise, T10. Empty: both have no rows.",
        "应用概况 CSV 文件（UTF-8），列为 prefix、name、type、introduction、users、resolvers、developer；"
        "前缀为空者属本节点（表 T5），否则属企业（表 T10）；为空则两表均无数据。",
    ),
)  # fmt: skip

BY_NAME: Final[dict[str, Setting]] = {setting.name: setting for setting in SETTINGS}
