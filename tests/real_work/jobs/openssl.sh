#: Tools: openssl
seq 1 20000 > plain
echo other > other
for digest in md5 sha1 sha256 sha512 sha3-256 blake2b512; do
    openssl dgst "-$digest" plain
done
openssl dgst -sha256 -hmac key plain
for cipher in aes-128-cbc aes-256-ctr chacha20 camellia-256-cbc; do
    openssl enc "-$cipher" -pbkdf2 -S 0011223344556677 -pass pass:secret -in plain -out sealed
    sha256sum sealed
    openssl enc -d "-$cipher" -pbkdf2 -S 0011223344556677 -pass pass:secret -in sealed | cmp - plain && echo "$cipher round trip"
done
openssl enc -base64 -in plain | openssl enc -d -base64 | cmp - plain && echo "base64 round trip"
openssl genrsa -out rsa.pem 2048 2> log
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem
openssl genpkey -algorithm ed25519 -out ed.pem
for key in rsa ec ed; do
    openssl pkey -in "$key.pem" -pubout -out "$key.pub"
    openssl req -new -x509 -key "$key.pem" -subj "/CN=$key.example" -days 2 -out "$key.crt"
    openssl verify -CAfile "$key.crt" "$key.crt"
    openssl x509 -in "$key.crt" -noout -subject -issuer
    openssl pkeyutl -sign -rawin -inkey "$key.pem" -in plain -out signature
    openssl pkeyutl -verify -rawin -pubin -inkey "$key.pub" -in plain -sigfile signature
    openssl pkeyutl -verify -rawin -pubin -inkey "$key.pub" -in other -sigfile signature 2> log || echo "other text refused"
done
openssl req -new -key rsa.pem -subj /CN=request -out request.csr
openssl req -in request.csr -noout -verify -subject 2>&1
openssl rand -hex 16 | wc -c
openssl prime 1000000007
openssl list -providers
openssl ciphers -v -s -tls1_3
openssl enc -des-ede3-cbc -provider legacy -provider default -k x -pbkdf2 -S 0011223344556677 -in plain | sha256sum
