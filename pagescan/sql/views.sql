-- What the questions in this directory are asked of: views over the tables that `pagescan export --parquet` writes
-- (snapshots, frames, files, processes, mappings, pages). The tables must be there under these names: in DuckDB
--   CREATE VIEW frames AS SELECT * FROM read_parquet('DIR/frames/*.parquet')
-- and in Spark
--   spark.read.parquet('DIR/frames').createOrReplaceTempView('frames')
-- for each of them. What `snapshots` shows is what is looked at: let it have a WHERE to look at a part. Tables in folders by host and
-- day (`pagescan export --hive`) have these two columns besides: a WHERE in each of them keeps the rest from being read.
--
-- Flags of frames (docs/src/reference/pagescan-tables.md): 1 anonymous, 2 named, 4 shmem, 8 KSM, 16 the page of zeros,
-- 16384 free, 32768 zeros only, 65536 unread.

-- Each frame once, as the newest snapshot of its machine has it.
CREATE OR REPLACE TEMPORARY VIEW newest_frames AS
SELECT owner, number, machine, scope, hash_high, hash_low, flags, map_count, cgroup
FROM (
    SELECT f.owner, f.number, s.machine, s.scope, f.hash_high, f.hash_low, f.flags, f.map_count, f.cgroup,
        row_number() OVER (PARTITION BY f.owner, f.number ORDER BY s.taken DESC, s.snapshot DESC) AS nth
    FROM frames f JOIN snapshots s ON f.snapshot = s.snapshot
) ranked
WHERE nth = 1;

-- Each process as the newest snapshot of its machine has it, with its domain: what pages belong to. Here it is the process itself;
-- for users let it be concat(s.machine, ' ', p.uid), for control groups concat(s.machine, ' ', p.cgroup).
CREATE OR REPLACE TEMPORARY VIEW newest_processes AS
SELECT snapshot, process, domain
FROM (
    SELECT p.snapshot, p.process,
        concat(s.machine, ' ', p.pid, ' ', p.started) AS domain,
        rank() OVER (PARTITION BY s.machine, p.pid, p.started ORDER BY s.taken DESC, s.snapshot DESC) AS nth
    FROM processes p JOIN snapshots s ON p.snapshot = s.snapshot
) ranked
WHERE nth = 1;

-- Each file that is cached as the newest snapshot that has pages of it says.
CREATE OR REPLACE TEMPORARY VIEW newest_cached AS
SELECT snapshot, file, domain
FROM (
    SELECT c.snapshot, c.file, concat(s.machine, ' cache') AS domain,
        rank() OVER (PARTITION BY s.machine, f.device, f.inode ORDER BY s.taken DESC, s.snapshot DESC) AS nth
    FROM (SELECT DISTINCT snapshot, file FROM pages WHERE process = -1) c
    JOIN files f ON f.snapshot = c.snapshot AND f.file = c.file
    JOIN snapshots s ON s.snapshot = c.snapshot
) ranked
WHERE nth = 1;

-- How often each domain uses each frame; pages that are no memory of the process (16) do not count. In a snapshot of all memory it is as often as page tables have it.
CREATE OR REPLACE TEMPORARY VIEW uses AS
SELECT owner, number, domain, CAST(sum(times) AS BIGINT) AS times
FROM (
    SELECT f.owner, f.number, n.domain, 1 AS times
    FROM pages p
    JOIN newest_processes n ON n.snapshot = p.snapshot AND n.process = p.process
    JOIN frames f ON f.snapshot = p.snapshot AND f.frame = p.frame
    WHERE (p.flags & 16) = 0
    UNION ALL
    SELECT f.owner, f.number, n.domain, 1 AS times
    FROM pages p
    JOIN newest_cached n ON n.snapshot = p.snapshot AND n.file = p.file
    JOIN frames f ON f.snapshot = p.snapshot AND f.frame = p.frame
    WHERE p.process = -1
    UNION ALL
    SELECT owner, number, concat(machine, ' memory') AS domain, greatest(map_count, 1) AS times
    FROM newest_frames
    WHERE scope = 'ram' AND (flags & 16384) = 0
) single
GROUP BY owner, number, domain;

-- Each frame with how often it is used, and by whom.
CREATE OR REPLACE TEMPORARY VIEW used_frames AS
SELECT f.owner, f.number, f.hash_high, f.hash_low, f.flags,
    CASE WHEN (f.flags & 9) <> 0 AND (f.flags & 6) = 0 THEN 1 ELSE 0 END AS is_anonymous,
    CASE WHEN (f.flags & 6) <> 0 THEN 1 ELSE 0 END AS is_named,
    CASE WHEN (f.flags & 114704) = 0 THEN 1 ELSE 0 END AS is_compared,
    coalesce(u.pages, 0) AS pages,
    coalesce(u.domains, 0) AS domains,
    CASE WHEN u.domains = 1 THEN u.domain END AS only_domain
FROM newest_frames f
LEFT JOIN (
    SELECT owner, number, CAST(sum(times) AS BIGINT) AS pages, count(*) AS domains, min(domain) AS domain
    FROM uses
    GROUP BY owner, number
) u ON u.owner = f.owner AND u.number = f.number;

-- Each content that was read and is not zero, with the frames that hold it.
CREATE OR REPLACE TEMPORARY VIEW contents AS
SELECT c.hash_high, c.hash_low, c.frames, c.anonymous, c.named, c.anonymous_pages, coalesce(d.domains, 0) AS domains
FROM (
    SELECT hash_high, hash_low, count(*) AS frames,
        CAST(sum(is_anonymous) AS BIGINT) AS anonymous,
        CAST(sum(is_named) AS BIGINT) AS named,
        CAST(sum(CASE WHEN is_anonymous = 1 THEN greatest(pages, 1) ELSE 0 END) AS BIGINT) AS anonymous_pages
    FROM used_frames
    WHERE is_compared = 1
    GROUP BY hash_high, hash_low
) c
LEFT JOIN (
    SELECT f.hash_high, f.hash_low, count(DISTINCT u.domain) AS domains
    FROM used_frames f JOIN uses u ON u.owner = f.owner AND u.number = f.number
    WHERE f.is_compared = 1
    GROUP BY f.hash_high, f.hash_low
) d ON d.hash_high = c.hash_high AND d.hash_low = c.hash_low;
