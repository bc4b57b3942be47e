-- Every page that is used, and every frame, by class: what `pagescan share` says first.
SELECT class, side, CAST(sum(pages) AS BIGINT) AS pages, count(*) AS frames
FROM (
    SELECT f.pages,
        CASE
            WHEN (f.flags & 32784) <> 0 THEN 'zero'
            WHEN f.pages > 1 THEN 'shared'
            WHEN (f.flags & 65536) <> 0 THEN 'unread'
            WHEN c.frames > 1 AND c.anonymous = c.frames THEN 'opportunity, anonymous'
            WHEN c.frames > 1 AND c.named = c.frames THEN 'opportunity, named'
            WHEN c.frames > 1 THEN 'opportunity, mixed'
            ELSE 'private'
        END AS class,
        CASE
            WHEN (f.flags & 32784) <> 0 THEN 'internal'
            WHEN f.pages > 1 AND f.domains > 1 THEN 'external'
            WHEN f.pages <= 1 AND f.is_compared = 1 AND c.frames > 1 AND c.domains > 1 THEN 'external'
            ELSE 'internal'
        END AS side
    FROM used_frames f
    -- Only of frames that are compared is it asked above. As a condition here DuckDB would hold each frame against each content.
    LEFT JOIN contents c ON c.hash_high = f.hash_high AND c.hash_low = f.hash_low
    WHERE (f.flags & 16384) = 0
) classified
GROUP BY class, side
ORDER BY class, side;
