-- Who shares with whom: frames that both use, and contents that both have in no frame that both use, which is how many frames
-- would be saved between the two. Of one domain, frames that it uses more than once, and those saved if all its own were merged.
-- The 64 domains of most pages are held against one another: of many machines, pairs are more than anybody looks at.
WITH
largest AS (
    SELECT u.domain
    FROM uses u JOIN newest_frames f ON f.owner = u.owner AND f.number = u.number
    WHERE (f.flags & 16384) = 0
    GROUP BY u.domain
    ORDER BY sum(u.times) DESC, u.domain
    LIMIT 64
),
used AS (
    SELECT u.domain, u.times, f.owner, f.number, f.hash_high, f.hash_low, f.is_compared, f.flags
    FROM uses u
    JOIN largest l ON l.domain = u.domain
    JOIN used_frames f ON f.owner = u.owner AND f.number = u.number
),
shared AS (
    SELECT one.domain AS a, other.domain AS b, count(*) AS shared
    FROM used one JOIN used other ON other.owner = one.owner AND other.number = one.number
    WHERE (one.flags & 49168) = 0 AND (one.domain < other.domain OR one.domain = other.domain AND one.times > 1)
    GROUP BY one.domain, other.domain
),
held AS (
    SELECT domain, hash_high, hash_low, count(*) AS frames
    FROM used
    WHERE is_compared = 1
    GROUP BY domain, hash_high, hash_low
),
in_common AS (
    SELECT one.domain AS a, other.domain AS b, count(*) AS contents
    FROM held one JOIN held other ON other.hash_high = one.hash_high AND other.hash_low = one.hash_low
    WHERE one.domain < other.domain
    GROUP BY one.domain, other.domain
),
in_one_frame AS (
    SELECT a, b, count(*) AS contents
    FROM (
        SELECT DISTINCT one.domain AS a, other.domain AS b, one.hash_high, one.hash_low
        FROM used one JOIN used other ON other.owner = one.owner AND other.number = one.number
        WHERE one.domain < other.domain AND one.is_compared = 1
    ) pairs
    GROUP BY a, b
),
could AS (
    SELECT c.a, c.b, c.contents - coalesce(o.contents, 0) AS could
    FROM in_common c LEFT JOIN in_one_frame o ON o.a = c.a AND o.b = c.b
    UNION ALL
    SELECT domain AS a, domain AS b, CAST(sum(frames - 1) AS BIGINT) AS could
    FROM held
    GROUP BY domain
)
SELECT a, b, CAST(sum(shared) AS BIGINT) AS shared, CAST(sum(could) AS BIGINT) AS could
FROM (
    SELECT a, b, shared, 0 AS could FROM shared
    UNION ALL
    SELECT a, b, 0 AS shared, could FROM could
) pairs
GROUP BY a, b
HAVING sum(shared) + sum(could) > 0
ORDER BY a, b;
