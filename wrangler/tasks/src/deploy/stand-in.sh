# Stands in for wrangler in tests: keeps an account in the folder $ACCOUNT, one file for each thing in it, answers as wrangler
# does, and dies at call number $CUT, $WHEN it does its work: `before` or `after`. Dead, it answers nothing any more.

say() { printf '%s\n' "$*"; }
die_after() { [ "$number$WHEN" = "${CUT}after" ] && : > "$ACCOUNT/dead"; }
fail() { say "✘ [ERROR] $*" >&2; die_after; exit 1; }
rows() { # folder, name of the name, name of the id
  separator=
  say "["
  for file in "$ACCOUNT/$1"/*; do
    [ -e "$file" ] || continue
    say "$separator{ \"$3\": \"id-of-${file##*/}\", \"$2\": \"${file##*/}\" }"
    separator=,
  done
  say "]"
}
new() { # folder, name, error
  [ -e "$ACCOUNT/$1/$2" ] && fail "$3"
  : > "$ACCOUNT/$1/$2"
}
gone() { rm "$ACCOUNT/$1/$2" 2> "$ACCOUNT/log.errors" || fail "there is no $2 [code: 10007]"; }
field() { sed -n "s/^ *\"$2\": \"\(.*\)\",\{0,1\}\$/\1/p" "$1"; }

[ -e "$ACCOUNT/dead" ] && exit 137
number=$(($(cat "$ACCOUNT/calls" 2> "$ACCOUNT/log.errors" || echo 0) + 1))
say "$number" > "$ACCOUNT/calls"
say "$*" >> "$ACCOUNT/log"
[ "$number$WHEN" = "${CUT}before" ] && kill -KILL $$

case "$*" in
  "whoami --json") say '{ "loggedIn": true }' ;;
  "d1 list --json") rows d1 name uuid ;;
  "d1 create "*)
    new d1 "$3" "A database with that name already exists [code: 7502]"
    say "✅ Successfully created DB '$3'" ;;
  "d1 delete "*" --skip-confirmation") gone d1 "$3" ;;
  "d1 migrations apply "*" --remote --config storage-worker.json")
    grep -q "\"binding\": \"$4\"" storage-worker.json || fail "Couldn't find a D1 DB with the name or binding '$4'"
    : > "$ACCOUNT/migrated/$4"
    say "✅ No migrations to apply!" ;;
  "kv namespace list") rows kv title id ;;
  "kv namespace create "*)
    new kv "$4" "A KV namespace with the title \"$4\" already exists."
    say "✨ Success!" ;;
  "kv namespace delete --namespace-id id-of-"*) gone kv "${5#id-of-}" ;;
  "r2 bucket info "*" --json")
    [ -e "$ACCOUNT/r2/$4" ] || fail "The specified bucket does not exist. [code: 10006]"
    say "{ \"name\": \"$4\" }" ;;
  "r2 bucket create "*)
    new r2 "$4" "The bucket you tried to create already exists, and you own it. [code: 10004]"
    say "✅ Created bucket '$4' with default storage class of Standard." ;;
  "r2 bucket delete "*) gone r2 "$4" ;;
  "secret list --name "*)
    [ -e "$ACCOUNT/workers/$4" ] || fail "Worker \"$4\" not found."
    say "[]" ;;
  "deploy --config storage-worker.json")
    [ "$(ls "$ACCOUNT/migrated" | wc -l)" -ge "$(ls "$ACCOUNT/d1" | wc -l)" ] || fail "code before migrations"
    grep -q "\"database_id\": \"id-of-" storage-worker.json || fail "no id of a database"
    : > "$ACCOUNT/workers/tern-blue-storage" ;;
  "deploy --config proxy.json --secrets-file secrets.json")
    [ -e "$ACCOUNT/workers/tern-blue-storage" ] || fail "Service binding 'STORAGE' references Worker 'tern-blue-storage' which was not found. [code: 10143]"
    key=$(field secrets.json SIGNING_KEY)
    [ -s "$ACCOUNT/key" ] && [ "$(cat "$ACCOUNT/key")" != "$key" ] && fail "another signing key"
    say "$key" > "$ACCOUNT/key"
    : > "$ACCOUNT/workers/tern-blue" ;;
  "delete tern-blue --force") gone workers tern-blue ;;
  "delete tern-blue-storage --force")
    [ -e "$ACCOUNT/workers/tern-blue" ] && fail "a worker still calls it"
    gone workers tern-blue-storage ;;
  *) fail "Unknown arguments: $*" ;;
esac
die_after && exit 137
exit 0
