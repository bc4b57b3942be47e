#: Tools: perl
cat > work.pl <<'P'
use strict;
use warnings;
use List::Util qw(sum max reduce shuffle uniq);
use Scalar::Util qw(blessed weaken dualvar);
use Digest::SHA qw(sha256_hex);
use Digest::MD5 qw(md5_hex);
use POSIX qw(floor strftime setlocale LC_ALL :sys_wait_h);
use Encode qw(encode decode);
use Data::Dumper;
use Storable qw(freeze thaw dclone);
use Time::HiRes qw(time sleep);
use MIME::Base64;
use Socket;
use IO::Socket::INET;
use File::Temp qw(tempfile);
use Compress::Zlib;

print sum(1 .. 100), " ", max(3, 9, 4), " ", (reduce { $a * $b } 1 .. 6), " ", join(",", uniq(1, 1, 2)), "\n";
print sha256_hex("statify"), " ", md5_hex("statify"), "\n";
print floor(-3.5), " ", strftime("%Y-%m-%d", gmtime(86400 * 365)), " ", POSIX::strtol("ff", 16), "\n";
print unpack("H*", encode("UTF-16BE", "\x{20ac}x")), " ", length(decode("UTF-8", "\xc3\xbc")), "\n";
print unpack("H*", encode("iso-8859-15", "\x{20ac}")), " ", unpack("H*", encode("shiftjis", "\x{3042}")), "\n";
$Data::Dumper::Sortkeys = 1;
print Dumper(thaw(freeze({ list => [1, 2], text => "t" })));
print encode_base64("bytes" x 20), inet_ntoa(pack("N", 0x7f000001)), "\n";
my $start = time;
sleep 0.01;
print time - $start > 0.005 ? "slept\n" : "did not sleep\n";
my $packed = Compress::Zlib::memGzip("z" x 10000);
print length(Compress::Zlib::memGunzip($packed)), "\n";

my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $!;
my $pid = fork // die;
if (!$pid) {
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die $!;
    print $client "from the child\n";
    exit 5;
}
print scalar <${\ $server->accept}>;
waitpid $pid, 0;
print WEXITSTATUS($?), "\n";
print `echo in backticks`;
local $SIG{ALRM} = sub { die "alarm\n" };
alarm 1;
eval { select undef, undef, undef, 30 };
print "caught $@";
my %count;
$count{length $_}++ for split /\W+/, "the quick brown fox jumps over the lazy dog";
print join(" ", map { "$_=$count{$_}" } sort keys %count), "\n";
(my $text = "2024-05-06") =~ s/(\d+)-(\d+)-(\d+)/$3.$2.$1/;
print "$text $0 @ARGV\n";
open my $self, "<", "/proc/self/comm" or die;
print scalar <$self>;
die "the end\n";
P
perl work.pl one two || echo "status $?"
printf 'b\na\n' | perl -e 'print sort <>'
seq 5 | perl -lane '$s += $F[0]; END { print $s }'
