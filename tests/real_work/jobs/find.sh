#: Tools: find xargs ls du stat cp mv rm mkdir chmod ln touch dd basename dirname realpath sha256sum
mkdir -p tree/a/b tree/c
for name in tree/a/one tree/a/b/two 'tree/c/with blank' tree/c/four; do
    dd if=/dev/zero of="$name" bs=1k count=3 status=none
done
ln -s ../a/one tree/c/link
chmod 640 tree/a/one
touch -d '2001-02-03 04:05:06' tree/a/one
find tree -type f -printf '%P %s %m\n' | sort
find tree -newermt 2000-01-01 ! -newermt 2002-01-01
find tree -name '*o*' -print0 | sort -z | xargs -0 -n 2 echo
find tree -type f -print0 | sort -z | xargs -0 -P 4 sha256sum | sort
find tree -type l -exec realpath --relative-to=. '{}' ';'
find tree -size +1k -exec basename '{}' ';' | sort
seq 1 100 | xargs -n 30 | wc -l
cp -a tree copy
mv copy moved
ls -lR --time-style=long-iso moved/a/one | cut -d' ' -f1,5-
stat -c '%n %s %A %Y' moved/a/one
du --apparent-size -b moved/c/four
rm -r moved
find moved 2> /dev/null || echo "status $?"
echo x | xargs sh -c 'exit 5' || echo "status $?"
