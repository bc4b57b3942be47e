#: Tools: objdump readelf nm objcopy size strings addr2line
# Tools that read ELF files, on one of the machine's.
cp /bin/true program
readelf -aW program | sha256sum
objdump -d program | tail -n +3 | sha256sum
nm -D program | sha256sum
size program
strings program | sha256sum
objcopy --only-section=.rodata -O binary program rodata
sha256sum rodata
addr2line -e program 0x1000
