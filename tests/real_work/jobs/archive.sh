#: Tools: tar
#: Each: gzip bzip2 xz zstd lzip lz4
# A tree packed, compressed, unpacked, and compared.
mkdir -p tree/deep/er
seq 1 60000 > tree/numbers
head -c 300000 /dev/zero > tree/zeros
printf 'text\n' > tree/deep/er/text
ln -s ../numbers tree/deep/link
ln tree/numbers tree/deep/hard
chmod 750 tree/deep/er/text
touch -d '2020-01-02 03:04:05' tree/numbers tree/zeros tree/deep/er/text
touch -h -d '2020-01-02 03:04:05' tree/deep/link tree/deep/er tree/deep tree

tar --sort=name --owner=0 --group=0 --numeric-owner -cf plain.tar tree
# gzip stores its input's time.
touch -d '2020-01-02 03:04:05' plain.tar
sha256sum plain.tar
tar -tvf plain.tar
for level in 1 6; do
    "$TOOL" "-$level" < plain.tar > packed
    sha256sum packed
    "$TOOL" -dc < packed | cmp - plain.tar
done
"$TOOL" -t < packed && echo "intact"
mkdir out
tar -C out -I "$TOOL" -xf packed
diff -r tree out/tree && echo "same tree"
head -c 1000 packed > cut
"$TOOL" -dc < cut > /dev/null 2>&1 && echo "not noticed" || echo "cut file noticed"
