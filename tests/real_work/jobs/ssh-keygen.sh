#: Tools: ssh-keygen
for kind in ed25519 ecdsa rsa; do
    ssh-keygen -q -t "$kind" -N '' -C comment -f "$kind"
    ssh-keygen -l -f "$kind.pub" | cut -d' ' -f1,3-
    ssh-keygen -y -f "$kind" | cmp - "$kind.pub" && echo "same public key"
    echo "signer $(cat "$kind.pub")" > allowed
    echo text | ssh-keygen -q -Y sign -n file -f "$kind" > signature
    echo text | ssh-keygen -Y verify -n file -f allowed -I signer -s signature | cut -d' ' -f1-6
    echo other | ssh-keygen -Y verify -n file -f allowed -I signer -s signature 2> /dev/null || echo "refused: $?"
done
ssh-keygen -q -p -P '' -N secret -f ed25519
ssh-keygen -y -P wrong -f ed25519 2> /dev/null || echo "wrong passphrase: $?"
