#: Tools: sqlite3
sqlite3 work.db <<'S'
create table word (id integer primary key, text text unique, length int generated always as (length(text)));
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into word (text) select printf('%x', i * 7919) from n;
create index by_length on word (length);
select length, count(*), min(text), max(text) from word group by length;
begin;
delete from word;
rollback;
select count(*) from word;
create virtual table full using fts5 (body);
insert into full values ('the quick brown fox'), ('the lazy dog');
select body from full where full match 'quick OR lazy';
select json_extract('{"a": [1, 2, {"b": 3}]}', '$.a[2].b'), round(sqrt(2), 6), strftime('%Y', 0, 'unixepoch');
pragma integrity_check;
explain query plan select * from word where length = 3;
.mode csv
select * from word limit 3;
S
sqlite3 work.db .dump | sha256sum
sqlite3 work.db 'select no_such_column from word' || echo "status $?"
