-- How long contents are there more than once (figure 5.12 of the paper): of each machine, the snapshots in their order; of each
-- content that several frames of a snapshot hold, each row of successive snapshots in which it is so. `seconds` is from the first
-- to the last of them, 0 if there is one only; `snapshots` how many; `sharings` how many such rows there are.
WITH
moments AS (
    SELECT snapshot, machine, taken, row_number() OVER (PARTITION BY machine ORDER BY taken, snapshot) AS moment
    FROM snapshots
),
sharings AS (
    SELECT m.machine, m.moment, m.taken, f.hash_high, f.hash_low
    FROM frames f JOIN moments m ON m.snapshot = f.snapshot
    WHERE (f.flags & 114704) = 0
    GROUP BY m.machine, m.moment, m.taken, f.hash_high, f.hash_low
    HAVING count(*) > 1
),
-- In a row of successive moments the moment less the place in the order of all is the same.
rows_of AS (
    SELECT machine, hash_high, hash_low, moment, taken,
        moment - row_number() OVER (PARTITION BY machine, hash_high, hash_low ORDER BY moment) AS island
    FROM sharings
),
lived AS (
    SELECT CAST(floor((max(taken) - min(taken)) / 1000000000.0) AS BIGINT) AS seconds, count(*) AS snapshots
    FROM rows_of
    GROUP BY machine, hash_high, hash_low, island
)
SELECT seconds, snapshots, count(*) AS sharings
FROM lived
GROUP BY seconds, snapshots
ORDER BY seconds, snapshots;
