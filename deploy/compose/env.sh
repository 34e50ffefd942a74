#!/bin/sh
# Writes a file of random secrets for docker-compose.yml: `sh deploy/compose/env.sh` makes .env, or the file it is given.
set -eu
target=${1:-.env}
if [ -e "$target" ]; then
  echo "$target exists and is left as it is: the data were made with its passwords" >&2
  exit 1
fi
umask 077
while IFS= read -r line; do
  case $line in
    \#*) echo "$line" ;;
    *KMS_KEY= | *RECEIPTS_KEY= | *SIGNING_KEYS= | *MASTER_KEYS=) echo "$line$(openssl rand -base64 32)" ;;
    *=) echo "$line$(openssl rand -hex 24)" ;;
    *) echo "$line" ;;
  esac
done < "$(dirname "$0")/env.example" > "$target"
echo "wrote $target; now: docker compose up --build --wait" >&2
