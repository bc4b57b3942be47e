//! The commands that both guests are given. What they say must be the same, so they name no time, no
//! process and no free memory; where they cannot help it, `varies` says what to take away.

/// One of them.
#[derive(Debug)]
pub struct Command {
    /// Its name in reports: letters, digits and hyphens.
    pub name: &'static str,
    /// What bash is given.
    pub line: &'static str,
    /// The exit status that it must have.
    pub status: i32,
    /// What changes from one boot to the next, as patterns.
    pub varies: &'static [&'static str],
}

/// Counts the mappings of a loader in a shell and in a program that it starts: none are there in a
/// converted guest.
pub const LOADERS: &str = "cat /proc/$$/maps /proc/self/maps | grep -c '/ld-linux' || true";

const fn command(name: &'static str, line: &'static str) -> Command {
    Command { name, line, status: 0, varies: &[] }
}

const fn fails(name: &'static str, line: &'static str, status: i32) -> Command {
    Command { name, line, status, varies: &[] }
}

/// All of them, in the order in which they are run.
pub const COMMANDS: &[Command] = &[
    command("failed-units", "systemctl --failed --no-legend --plain"),
    command(
        "units",
        "systemctl list-units --no-legend --plain --type=service --state=running | awk '{print $1}' | sort",
    ),
    command("os-release", "uname -srm; cat /etc/os-release; hostname; hostnamectl --static"),
    command(
        "files",
        "rm -rf /tmp/f; mkdir -p /tmp/f/a/b; cd /tmp/f; seq 1000 > a/n; cp -a a/n a/b/m; ln a/n a/hard; ln -s n a/soft; chmod 640 a/b/m; chown daemon:mail a/b/m; stat -c '%n %A %U %G %h %s' a/* a/b/*; du -s --apparent-size a/b; sha256sum a/n; tac a/n | head -2; wc a/n; split -n 3 a/n part; ls; rm -r a; ls",
    ),
    command(
        "text",
        "printf 'b 2\\na 1\\nc 3\\n' | sort -k2nr | sed 's/c/see/' | awk '{print $2, toupper($1)}' | tr A-Z a-z | nl | cut -c5- | paste -sd, | fold -w 20 | rev",
    ),
    command(
        "find-grep",
        "find /etc -xdev -type f -name '*.conf' -print0 | sort -z | xargs -0 grep -lE '^#' | head -40",
    ),
    command(
        "comm-diff",
        "cd /tmp; seq 1 9 > x; seq 3 11 > y; comm -12 x y | paste -sd' '; diff -u --label x --label y x y | head -20; cmp -s x y; echo $?; patch --version | head -1",
    ),
    command(
        "archives",
        "cd /tmp; rm -rf t; mkdir t; seq 5000 > t/s; tar --mtime=@0 --owner=0 --group=0 --sort=name -cf - t | tee >(sha256sum >&2) | xz -1 | xz -d | gzip -n | gzip -d | bzip2 | bzip2 -d | zstd -q | zstd -dq | lz4 -q | lz4 -dq | tar -tvf - | awk '{print $1, $3, $NF}'; zip -qX - t/s | wc -c; printf 't/s\\n' | cpio -o --quiet | cpio -t --quiet",
    ),
    command(
        "python",
        "python3 -c 'import json,hashlib,sqlite3,ssl,zlib,ctypes,decimal,re,subprocess,asyncio,multiprocessing; c=sqlite3.connect(\":memory:\"); print(json.dumps([hashlib.sha256(b\"x\").hexdigest(), c.execute(\"select 6*7\").fetchone(), ssl.OPENSSL_VERSION, zlib.crc32(b\"x\"), ctypes.CDLL(None).abs(-5), str(decimal.Decimal(1)/7), re.sub(\"a+\",\"b\",\"caat\"), subprocess.run([\"uname\"],capture_output=True,text=True).stdout]))'",
    ),
    command(
        "python-threads",
        "python3 -c 'import asyncio,multiprocessing as m\nasync def f(i):\n  await asyncio.sleep(.01); return i\nasync def g(): return await asyncio.gather(*map(f,range(5)))\nprint(asyncio.run(g()))\nwith m.get_context(\"fork\").Pool(2) as p: print(p.map(abs,[-1,-2,3]))'",
    ),
    command(
        "python-gi",
        "python3 -c 'import gi; gi.require_version(\"Gtk\",\"3.0\"); from gi.repository import Gio, GLib, Gtk; print(Gtk.get_major_version(), Gio.File.new_for_path(\"/etc/hostname\").load_contents(None)[1], GLib.markup_escape_text(\"<a>\"), Gio.content_type_guess(\"x.png\", None))' 2>&1 | grep -v -i warning",
    ),
    command(
        "perl",
        "perl -MDigest::SHA=sha256_hex -MPOSIX=floor -MList::Util=sum -MData::Dumper -MSocket -MEncode -MStorable=dclone -e '$Data::Dumper::Terse=1; print sha256_hex(\"x\"), \" \", floor(2.7), \" \", sum(1..10), \" \", inet_ntoa(inet_aton(\"127.0.0.1\")), \" \", Dumper(dclone({a=>[1,2]})), length(encode(\"UTF-8\", \"\\x{20ac}\")), \"\\n\"; print `uname`'",
    ),
    command(
        "git",
        "export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z' GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=a GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=a@b; rm -rf /tmp/g /tmp/h; git init -q -b main /tmp/g; cd /tmp/g; seq 100 > f; git add f; git commit -qm one; seq 101 > f; git commit -qam two; git log --format='%H %s' --stat; git clone -q /tmp/g /tmp/h; cd /tmp/h; git fsck; git gc -q; git rev-list --all --count; git diff HEAD~ | sha256sum; git archive HEAD | tar -t",
    ),
    Command {
        name: "ssh-keygen",
        line: "rm -f /tmp/k /tmp/k.pub; ssh-keygen -q -t ed25519 -N '' -C c -f /tmp/k; ssh-keygen -lf /tmp/k.pub; printf m | ssh-keygen -q -Y sign -n file -f /tmp/k > /tmp/m.sig; printf 'c %s' \"$(cat /tmp/k.pub)\" > /tmp/allowed; printf m | ssh-keygen -Y verify -f /tmp/allowed -I c -n file -s /tmp/m.sig",
        status: 0,
        varies: &[r"SHA256:[A-Za-z0-9+/]+"],
    },
    command(
        "ssh",
        "rm -f /tmp/k /tmp/k.pub; ssh-keygen -q -t ed25519 -N '' -f /tmp/k; mkdir -p -m 700 /root/.ssh; cp /tmp/k.pub /root/.ssh/authorized_keys; for i in 1 2 3 4 5; do ssh -i /tmp/k -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.0.1 'id -un; echo $((6*7)); exit 7' && break || s=$?; [ $s = 255 ] || break; sleep 2; done; echo $s; scp -q -i /tmp/k -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.0.1:/etc/hostname /tmp/fetched; cat /tmp/fetched",
    ),
    command(
        "openssl",
        "printf x | openssl dgst -sha512; printf x | openssl enc -aes-256-cbc -pbkdf2 -S 0011223344556677 -k p -a; openssl version; openssl genpkey -algorithm ed25519 -out /tmp/p.pem && openssl req -x509 -new -key /tmp/p.pem -subj /CN=a -days 1 -out /tmp/c.pem && openssl verify -CAfile /tmp/c.pem /tmp/c.pem",
    ),
    command(
        "gnupg",
        "export GNUPGHOME=/tmp/gpg; rm -rf $GNUPGHOME; mkdir -m 700 $GNUPGHOME; printf text | gpg --batch --quiet --passphrase p --pinentry-mode loopback -c -o - | gpg --batch --quiet --passphrase p --pinentry-mode loopback -d; gpg --batch --print-md sha256 /etc/hostname; gpgconf --kill all",
    ),
    command(
        "curl",
        "curl -s file:///etc/hostname; curl -sw '%{scheme} %{size_download}\\n' -o /dev/null file:///etc/os-release; curl --version | head -1 | cut -d' ' -f1-2; curl -s http://127.0.0.1:9/; echo $?",
    ),
    command(
        "http",
        "cd /etc; python3 -m http.server 8123 --bind 127.0.0.1 >/dev/null 2>&1 & sleep 3; for i in 1 2 3 4 5 6 7 8; do curl -sf http://127.0.0.1:8123/hostname && break; sleep 1; done; wget -qO- http://127.0.0.1:8123/debian_version; kill %1",
    ),
    command(
        "sudo",
        "sudo -u nobody id; sudo -n -u daemon sh -c 'id -un; cat /etc/shadow' ; echo $?",
    ),
    command(
        "su",
        "su -s /bin/sh nobody -c 'id; echo $HOME'; su -s /bin/sh nobody -c 'sudo -n id'; echo $?",
    ),
    command(
        "users",
        "useradd -m -s /bin/bash alice && printf 'alice:secret\\n' | chpasswd && id alice && getent passwd alice && passwd -S alice | cut -d' ' -f1-2; su alice -c 'cd; pwd; umask'; userdel -r alice 2>/dev/null; id alice; echo $?",
    ),
    command(
        "getent",
        "getent passwd root nobody; getent group sudo; getent hosts localhost; getent services ssh; getent protocols tcp; getent ahosts 127.0.0.1",
    ),
    fails("no-such-host", "getent hosts no-such-host.invalid", 2),
    command(
        "gio",
        "gio info -a standard::name,standard::type,standard::size,standard::content-type /etc/hostname; gio list /etc/default | sort | head -20; gio mime text/plain | head -1; gio cat /etc/hostname; gio copy /etc/hostname /tmp/copied && cat /tmp/copied",
    ),
    command(
        "gsettings",
        "gsettings list-schemas | sort | sha256sum; gsettings list-schemas | wc -l; /usr/lib/x86_64-linux-gnu/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders | sha256sum; gdbus introspect --system --dest org.freedesktop.DBus --object-path / --recurse | sha256sum",
    ),
    Command {
        name: "gtk-tools",
        line: "gtk-launch --version; gtk-update-icon-cache --help | head -3; gtk-query-settings 2>&1 | head -2; gtk4-builder-tool --help | head -3; gtk3-demo --help | head -3; gtk-encode-symbolic-svg --help | head -3; rsvg-convert --version",
        status: 0,
        varies: &[r"\([a-z0-9-]+:\d+\)", r"\d\d:\d\d:\d\d\.\d+"],
    },
    Command {
        name: "no-display",
        line: "gtk3-demo 2>&1 | tail -1; xterm 2>&1 | tail -1; xclock 2>&1 | tail -1",
        status: 0,
        varies: &[r"\([a-z0-9-]+:\d+\)", r"\d\d:\d\d:\d\d\.\d+"],
    },
    command(
        "gdbus",
        "gdbus call --system --dest org.freedesktop.systemd1 --object-path /org/freedesktop/systemd1 --method org.freedesktop.DBus.Properties.Get org.freedesktop.systemd1.Manager Version; busctl --no-pager --list tree org.freedesktop.hostname1; dbus-send --system --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListActivatableNames | tr ' ' '\\n' | grep -c systemd",
    ),
    command(
        "services",
        "systemctl restart dbus-org.freedesktop.hostname1.service systemd-journald.service; systemctl is-active ssh dbus systemd-logind systemd-udevd; systemctl show -p LoadState,ActiveState,SubState ssh; systemd-run --quiet --pipe --wait -p DynamicUser=yes id -u | grep -cE '^6[0-9]{4}$'; systemd-analyze verify ssh.service; systemd-escape 'a b/c'",
    ),
    command(
        "timedate",
        "TZ=Europe/Berlin date -d @1700000000 '+%F %T %Z'; cal 2 2024 2>/dev/null; date -u -d '2024-02-28 + 2 days' +%F; TZ=Asia/Tokyo python3 -c 'import time; print(time.strftime(\"%c %Z\", time.localtime(0)))'",
    ),
    command(
        "locales",
        "LC_ALL=C.UTF-8 printf '%s\\n' 'äöü' | wc -m; locale -a; echo 'grüße' | iconv -f UTF-8 -t ISO-8859-1 | od -An -tx1; echo abc | iconv -t UTF-16LE | od -An -tx1",
    ),
    command(
        "ping",
        "ping -qc1 127.0.0.1 | grep -o '1 packets.*0% packet loss'; ping -qc1 ::1 | grep -o '0% packet loss'",
    ),
    command(
        "network",
        "ip -br addr show lo; ip route show table local dev lo | head -3; ss -Hltn | awk '{print $4}' | sort; nft list ruleset; iptables -S 2>&1 | head -3; ethtool --version | cut -d' ' -f1",
    ),
    command(
        "mount",
        "mkdir -p /tmp/m; mount -t tmpfs -o size=1m tmpfs /tmp/m && echo x > /tmp/m/f && findmnt -no FSTYPE,OPTIONS /tmp/m && df --output=fstype,size /tmp/m && umount /tmp/m && ls -A /tmp/m",
    ),
    command(
        "filesystems",
        "cd /tmp; for kind in ext4 vfat btrfs; do rm -f image; truncate -s 128M image; mkfs.$kind -q image >/dev/null 2>&1 || mkfs.$kind image >/dev/null; echo $kind $?; blkid -o value -s TYPE image; done; rm -f image; truncate -s 16M image; mkfs.ext4 -qF image; e2fsck -fn image >/dev/null 2>&1; echo $?; debugfs -R 'ls -p' image 2>/dev/null | cut -d/ -f6; rm image",
    ),
    command(
        "lvm",
        "lvm version 2>/dev/null | head -1 | awk '{print $1,$2}'; pvs 2>&1; mdadm --version 2>&1 | cut -d' ' -f1-2; cryptsetup --version; printf pass > /tmp/key; truncate -s 32M /tmp/luks; cryptsetup -q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /tmp/luks /tmp/key; echo $?; cryptsetup isLuks /tmp/luks; echo $?; rm /tmp/luks",
    ),
    command(
        "packages",
        "dpkg -l coreutils | tail -1 | awk '{print $1,$2,$3}'; dpkg -S /bin/ls /usr/bin/git; dpkg-query -W | sha256sum; apt-cache policy bash; apt-mark showmanual | sha256sum; apt-get -s remove nano | tail -1; dpkg --compare-versions 1.2 lt 1.10; echo $?; debconf-show debconf | sort | head -5",
    ),
    command(
        "compile",
        "cd /tmp; printf 'int f(int x) { return 3 * x; }\\nvoid _start(void) { __asm__ volatile(\"syscall\" :: \"a\"(60), \"D\"(f(1))); }' > c.c; gcc -O2 -nostdlib -static c.c -o c; ./c; echo $?; objdump -d c | grep -c syscall; readelf -h c | grep Type; nm c | cut -c18-; strip c; nm c 2>&1; size -A c | head -2; printf 'all:\\n\\t@echo made\\n' | make -sf -",
    ),
    command(
        "debug",
        "cd /tmp; gcc -g -O0 -fno-pie -nostdlib -static c.c -o d; gdb -batch -nx -ex 'break f' -ex run -ex bt -ex 'print x + 41' ./d 2>&1 | grep -E '^#|= 42|Breakpoint 1,'; strace ./d 2>&1 | tail -1; ltrace --version | head -1",
    ),
    command(
        "pictures",
        "cd /tmp; convert -size 64x64 gradient:red-blue -depth 8 a.png; identify -format '%m %w %h %k\\n' a.png; pngtopnm a.png | pnmflip -cw | pamscale .5 | ppmtojpeg | file - ; convert a.png rgb:- | sha256sum; echo 'digraph{a->b}' | dot -Tplain; gm version | head -1 | cut -d' ' -f1-2; rsvg-convert --help | head -1",
    ),
    command(
        "documents",
        "cd /tmp; printf '%%!PS\\n/Helvetica findfont 20 scalefont setfont 72 72 moveto (Words) show showpage\\n' > a.ps; ps2pdf a.ps a.pdf; pdftotext a.pdf - | head -1; pdfinfo a.pdf | grep -E '^(Pages|Page size)'; gs -q -dNOPAUSE -dBATCH -sDEVICE=bbox a.ps 2>&1 | tail -1; echo '.TH a 1' | groff -man -Tascii | head -3; man -w ls",
    ),
    command(
        "media",
        "cd /tmp; sox -D -n -r 8000 -c 1 -b 16 a.wav synth 0.5 sine 440; soxi -s a.wav; sox a.wav -t raw - | sha256sum; flac -s -f a.wav && flac -t -s a.flac && metaflac --show-total-samples a.flac; lame --quiet a.wav a.mp3; file a.mp3 | cut -c1-40",
    ),
    command(
        "databases",
        "sqlite3 :memory: 'create table t(a); insert into t values(1),(2); select sum(a), sqlite_version() from t'; psql --version; psql -h /nowhere 2>&1 | head -1; mariadb --version | cut -d' ' -f1-4; redis-cli -p 1 ping 2>&1; echo $?",
    ),
    command(
        "languages",
        "awk 'BEGIN{printf \"%.3f %s\\n\", atan2(0,-1), length(\"x\")}'; mawk 'BEGIN{print 1e3}'; echo '2^100; scale=5; 1/7' | bc; echo '[1,{\"a\":2}]' | jq -c '.[1].a'; echo 'puts [expr 6*7]' | tclsh; lua5.4 -e 'print(#\"abc\", 7//2)'; zsh -c 'print ${(U):-abc}'; ksh93 -c 'print $((2**10))'; tcsh -fc 'echo $shell:t'; dash -c 'echo $((7%4))'; busybox sh -c 'echo ${0##*/}'",
    ),
    Command {
        name: "signals",
        line: "bash -c 'kill -TERM $$'; echo $?; timeout 1 sleep 9; echo $?; sleep 100 & pgrep -xc sleep; pkill -x sleep; wait; nice -n 5 nice; setsid true; nohup true 2>/dev/null; echo $?; python3 -c 'import os; os.kill(os.getpid(), 6)'; echo $?",
        status: 0,
        varies: &[r"line 1: +\d+"],
    },
    command(
        "pipes",
        "yes | head -100000 | md5sum; seq 1 200000 | shuf --random-source=/etc/os-release 2>/dev/null | sort -n | tail -1; dd if=/dev/zero bs=1M count=8 2>/dev/null | tee /dev/null | sha1sum; mkfifo /tmp/ff; (echo through > /tmp/ff &) ; cat /tmp/ff; rm /tmp/ff; echo a | socat - EXEC:cat; screen -v | cut -d' ' -f1-2; tmux -V",
    ),
    Command {
        name: "processes",
        // Without those that systemd starts when they are asked, and that end when nobody has for 30 s.
        line: "ps --ppid 2 -p 2 --deselect -o user,comm --no-headers | awk '$2 !~ /^systemd-(hostnam|timedat|locale)/ {print $1,$2}' | sort -u; ps -o comm= -p 1; cat /proc/1/comm; free -m | awk 'NR==2{print ($2>1500)}'; nproc; uptime -p | cut -d' ' -f1; lsof -p $$ 2>/dev/null | awk '$4==\"cwd\"{print $5}'",
        status: 0,
        varies: &[],
    },
    command(
        "program-names",
        "ls /usr/bin /usr/sbin | sha256sum; ls /usr/bin /usr/sbin | wc -l; which -a bash ls | sort; type -p perl",
    ),
    command(
        "capabilities",
        "find /usr/bin /usr/sbin -xdev \\( -perm -4000 -o -perm -2000 \\) -printf '%m %u %g %p\\n' | sort -k4; getcap -r /usr/bin /usr/sbin; setpriv --reuid 65534 --clear-groups id; capsh --print | head -1 | cut -c1-40",
    ),
    command(
        "crashes",
        "journalctl -b --no-pager -q | grep -ciE 'segfault|general protection|traps:|SIGSEGV|SIGABRT|dumped core|trap invalid'; dmesg | grep -ciE 'segfault|traps:|general protection'; true",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use regex::Regex;

    use super::*;

    #[test]
    fn the_list_is_sound() {
        let mut names = BTreeSet::new();
        for command in COMMANDS {
            assert!(names.insert(command.name), "{} stands twice", command.name);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            assert!(command.name.chars().all(plain), "{}", command.name);
            // A line of a terminal holds 4,095 bytes (termios(3)).
            assert!(shell_words::quote(command.line).len() < 3500, "{} is too long", command.name);
            for pattern in command.varies {
                Regex::new(pattern).expect("a pattern");
            }
        }
        assert!(COMMANDS.len() >= 40);
    }
}
