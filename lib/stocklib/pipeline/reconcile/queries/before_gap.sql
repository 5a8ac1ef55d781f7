-- The last seq before a seq, and how many seqs silver has, of a run and symbol. Parameters: seq, run, symbol.
select coalesce(max(case when seq < ? then seq end), 0), count(distinct seq)
from {stream.events}
where run_id = ? and symbol = ?
