-- Frames that could be saved, in all and within domains; by KSM with at most 256 pages in a frame (max_page_sharing).
SELECT
    (SELECT CAST(coalesce(sum(frames - 1), 0) AS BIGINT) FROM contents) AS at_most,
    (SELECT count(*) FROM contents) AS contents,
    (SELECT CAST(coalesce(sum(greatest(anonymous - CAST(ceil(anonymous_pages / 256.0) AS BIGINT), 0)), 0) AS BIGINT)
        FROM contents) AS attainable,
    CAST(coalesce(sum(frames - 1), 0) AS BIGINT) AS internal,
    CAST(coalesce(sum(greatest(anonymous - CAST(ceil(anonymous_pages / 256.0) AS BIGINT), 0)), 0) AS BIGINT)
        AS attainable_internal
FROM (
    SELECT hash_high, hash_low, only_domain, count(*) AS frames,
        CAST(sum(is_anonymous) AS BIGINT) AS anonymous,
        CAST(sum(CASE WHEN is_anonymous = 1 THEN pages ELSE 0 END) AS BIGINT) AS anonymous_pages
    FROM used_frames
    WHERE is_compared = 1 AND only_domain IS NOT NULL
    GROUP BY hash_high, hash_low, only_domain
) within_domains;
