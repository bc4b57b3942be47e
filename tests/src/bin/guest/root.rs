//! The root file system: Debian 12 with what a workstation and a server have between them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::room::{Room, output};

const SUITE: &str = "bookworm";
/// Of root, for the login on the serial line.
pub const PASSWORD: &str = "statify";

/// Its packages, beside those that Debian calls important, by what they are for. gio, gtk-launch and
/// the GTK tools stand for the paper's gnome-open.
const PACKAGES: &[&str] = &[
    // To start: the kernel has its disk's driver and ext4 built in.
    "linux-image-cloud-amd64 systemd systemd-sysv dbus udev libpam-systemd login passwd sudo busybox tini",
    "coreutils util-linux util-linux-extra bsdutils bsdextrautils procps psmisc kmod lsof acl attr file",
    // GTK and GIO.
    "libglib2.0-bin gvfs libgtk-3-bin gtk-3-examples libgtk-4-bin libgtk2.0-bin gir1.2-gtk-3.0 xdg-utils",
    "dconf-cli dconf-gsettings-backend librsvg2-bin python3-gi python3-dbus",
    // Languages and what programs are made with.
    "perl python3 tcl tk expect lua5.4 gawk mawk bc dc jq dash zsh ksh93u+m mksh tcsh bison flex m4 make",
    "binutils gcc gdb strace ltrace patch diffutils nasm yasm protobuf-compiler xsltproc",
    "libxml2-utils git rcs subversion",
    // The network.
    "curl wget openssh-client openssh-server openssl gnupg gpgsm iproute2 iputils-ping net-tools nftables",
    "iptables bind9-dnsutils nmap tcpdump socat",
    "netcat-openbsd traceroute whois rsync ldap-utils krb5-user snmp lynx w3m elinks lftp telnet ftp ncftp",
    "mutt ethtool iw wireless-tools bridge-utils wireguard-tools",
    // Disks and archives.
    "lvm2 mdadm btrfs-progs xfsprogs e2fsprogs dosfstools cryptsetup-bin parted gdisk ntfs-3g f2fs-tools",
    "reiserfsprogs jfsutils squashfs-tools mtools qemu-utils genisoimage xorriso jigdo-file zstd lz4",
    "xz-utils bzip2 lzip p7zip zip unzip cpio pax lrzip pigz pbzip2 brotli libarchive-tools quota hdparm",
    "pciutils usbutils dmidecode",
    // Texts, pictures, sound.
    "less man-db groff-base vim nano ed texinfo texlive-binaries dvipng psutils poppler-utils ghostscript",
    "djvulibre-bin hunspell aspell imagemagick graphicsmagick graphviz netpbm libtiff-tools webp optipng",
    "pngcrush exiv2 libjpeg-turbo-progs fig2dev sox mpg123 vorbis-tools flac lame alsa-utils",
    "pulseaudio-utils pipewire-bin cups-client cups-bsd",
    // Screens.
    "x11-apps x11-utils x11-xserver-utils xterm xauth xinput x11-xkb-utils mesa-utils xfonts-utils screen",
    "tmux tree time htop iotop-c sysstat",
    // Databases.
    "sqlite3 postgresql-client mariadb-client redis-tools libcap2-bin",
];

/// What is done to it when all is installed. Both guests are made of the same tree.
const SETUP: &[&str] = &[
    "echo guest > \"$1/etc/hostname\"",
    "printf '127.0.0.1 localhost guest\\n::1 localhost ip6-localhost\\n' > \"$1/etc/hosts\"",
    "printf 'LANG=C.UTF-8\\n' > \"$1/etc/default/locale\"",
    "chroot \"$1\" update-ca-certificates >/dev/null 2>&1 || true",
    // Nothing begins by itself while something is measured.
    "for t in apt-daily apt-daily-upgrade e2scrub_all fstrim man-db dpkg-db-backup logrotate; do \
     ln -sf /dev/null \"$1/etc/systemd/system/$t.timer\"; done",
];

/// What was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct Root {
    /// Packages in it.
    pub packages: usize,
    /// Its Debian's number, as 12.15.
    pub version: String,
}

/// Makes it.
pub fn make(room: &Room) -> Result<Root> {
    let pending = room.pending("root")?;
    let packages: Vec<&str> = PACKAGES.iter().flat_map(|line| line.split(' ')).collect();
    let mut setup: Vec<String> = SETUP.iter().map(|&line| line.to_owned()).collect();
    setup.push(format!("echo root:{PASSWORD} | chroot \"$1\" chpasswd"));
    let variant = ["--variant=important", "--aptopt=APT::Install-Recommends \"false\""];
    mmdebstrap(&variant, &packages, &setup, &pending)?;
    // A boot that finds none is a system's first one, which asks questions and does more.
    fs::write(pending.join("etc/machine-id"), "5d2f0f6d1d0a4f5d9a2f5f4b7a3c1e60\n")?;
    let query = output(Command::new("dpkg-query").arg("--admindir").args([
        pending.join("var/lib/dpkg").as_os_str(),
        "-W".as_ref(),
        "-f=.\\n".as_ref(),
    ]))?;
    let version = fs::read_to_string(pending.join("etc/debian_version"))?.trim().to_owned();
    room.remove(&room.root())?;
    fs::rename(&pending, room.root())?;
    Ok(Root { packages: query.iter().filter(|&&byte| byte == b'\n').count(), version })
}

/// Runs mmdebstrap.
pub fn mmdebstrap(options: &[&str], packages: &[&str], setup: &[String], to: &Path) -> Result<()> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--format=directory", "--dpkgopt=force-unsafe-io"]).args(options);
    // An old snapshot of a mirror, or an old machine's clock, does.
    command.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    command.arg(format!("--include={}", packages.join(",")));
    command.args(setup.iter().map(|line| format!("--customize-hook={line}")));
    command.arg(SUITE).arg(to).stdin(Stdio::null()).stdout(Stdio::null());
    match command.output() {
        Err(error) => bail!("mmdebstrap cannot be run: {error}; install it"),
        Ok(output) => ensure!(
            output.status.success(),
            "mmdebstrap: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
    Ok(())
}

/// Its kernel, and what uname -r will say.
pub fn kernel(root: &Path) -> Result<(PathBuf, String)> {
    for entry in fs::read_dir(root.join("boot"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(release) = name.and_then(|name| name.strip_prefix("vmlinuz-")) {
            let release = release.to_owned();
            return Ok((path, release));
        }
    }
    bail!("the guest has no kernel")
}
