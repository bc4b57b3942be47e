#: Tools: git
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_CONFIG_NOSYSTEM=1
git init -q -b main one
cd one
mkdir sub
for number in 1 2 3 4 5; do
    seq "$number" 200 > numbers
    echo "$number" > "sub/file$number"
    git add .
    git commit -q -m "commit $number"
done
git log --stat --format='%H %an %s'
git diff HEAD~3 -- sub | cat
git tag -a v1 -m 'a tag'
git checkout -q -b side HEAD~2
echo side > side
git add side
git commit -q -m side
git checkout -q main
git merge -q -m merge side
git log --graph --oneline | cat
cd ..
git clone -q one two
git clone -q --bare "file://$PWD/one" three.git
git -C two log -1 --format=%H
git -C three.git for-each-ref
git -C two gc -q
git -C two fsck --full --strict
git -C two count-objects -v | grep -v size
cd two
echo more >> numbers
git status --short
git stash -q
git stash list
git stash pop -q
git commit -qam more
git push -q origin HEAD:refs/heads/pushed
git -C ../one branch --list
git rebase -q v1 origin/side
git log -1 --format=%s
git checkout -q main
git bisect start main v1~3 > log
git bisect run grep -q '^4$' numbers > log
grep 'first bad commit' log
git bisect reset 2> log
git blame -s numbers | sha256sum
git archive main | sha256sum
git format-patch -1 --stdout main | sha256sum
git grep -n '^19' main -- numbers | head -n 3
git no-such-command || echo "status $?"
