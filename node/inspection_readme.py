"""What stands in the pack for an inspector: what is what, and how it is checked."""

from __future__ import annotations

from typing import Final

_LINES: Final = """\
检查材料包 · Pack for an inspection
（《工业互联网标识管理办法》第十四、十五条 · Measures on industrial internet identifiers, art. 14 and 15）

文件 Files
  manifest.json        清单：范围、制作者、各月检查点、各文件长度与 SHA-256、SM3，由节点签名
                       what this is: days, who made it, checkpoints, length and digests of each file; signed
  log/                 留存日志：注册 registration、解析 resolution、维护 maintenance、变更 change，每月一个
                       the statutory logs, one for each stream and month, as they are published
                       含涉及所查日期的全部月份；维护日志另含其后各月，可查删除记录
                       all months that touch the days; of maintenance the later ones, too: they tell of deletions
  checkpoints/         节点所存全部月份的检查点
                       signed checkpoints of all months that the node keeps
  statistics.json      统计：主体、前缀、标识、批次、单元的现状；所查日期内的解析与各类操作
                       numbers: what there is now; resolutions and acts of the days
  configuration.json   生效的设置（不含密钥，只列密钥文件的位置）
                       settings in force; they name files of keys, and hold none
  about.json licence.json
                       公布事项、许可 what the operator publishes; the licence
  holds.json           停止解析的指令 orders of the regulator that are in force
  complaints.json      投诉（不含投诉人联系方式） complaints, without who filed them
  incidents.json       突发事件及已签署的报告 incidents, with their signed reports
  templates.json       元数据模板 metadata templates
  sync.json            上级节点同步状态 how it stands with the upstream node
  SHA256SUMS SM3SUMS   各文件摘要 digests of all files but this one and manifest.json

日志中的客户端地址只有带密钥的摘要与网段，主体的身份信息不在其中。
Of clients the logs have a keyed hash and a network alone; identity data of parties is not in this pack.

校验 How to check it
  1. 解压整个文件。Unpack all of it.
  2. 经另一途径取得节点的公钥（一行，log/…/vkey 的形式），存为 node.vkey。不要只用包内的公钥：
     写日志的人可以另写一套。
     Get the key of the node by another way (one line, of the form of log/…/vkey) as node.vkey. The key in the pack
     proves only that the pack fits itself: who wrote it could have written another.
  3. saltern log verify 解压后的目录 THE-FOLDER --vkey node.vkey
     无需节点的配置；重新计算全部条目的根，检查签名、月份的链与清单。以前得到的检查点可用 --checkpoint 加入比较。
     It needs no configuration: it computes the root of all entries anew and checks signatures, the chain of months
     and the manifest. Add checkpoints that you were given earlier by --checkpoint.
  4. 摘要可用其他工具检查 Digests by other tools: sha256sum -c SHA256SUMS
  5. 日志是公开格式（C2SP tlog-tiles、checkpoint、signed-note），其他校验程序也能读，例如 Go 的
     golang.org/x/mod/sumdb/tlog、transparency-dev/tessera 的 fsck。
     The logs have a public format, which programs of others read as well: golang.org/x/mod/sumdb/tlog, and fsck of
     transparency-dev/tessera.

未收入本包的月份，其检查点在 checkpoints/ 与清单中：每月首条即上月的最终检查点，日志的链据此可接上。
Months that are not in this pack have their checkpoints in checkpoints/ and in the manifest: the first entry of a month
is the final checkpoint of the month before, so the chain goes on from there.
"""

README: Final = _LINES.replace("\n", "\r\n")
