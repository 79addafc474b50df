#!/bin/sh
# Prints the plan of the manifests in a folder as a comment in Markdown: plan-comment.sh FOLDER [flags of plan].
# It fails only if the plan does: that there is something to do is what a pull request is for.
set -u
folder="${1:?usage: plan-comment.sh FOLDER [flags of plan]}"
shift
plan="$(glance-image-operator plan --filename "$folder" "$@" 2>&1)"
code=$?
case "$code" in
  0) title='nothing to do' ;;
  2) title='there is something to do' ;;
  *) title='it failed' ;;
esac
# An indented block, because no text in it can end it. GitHub accepts 65536 characters.
printf '### Plan of the images: %s\n\n' "$title"
printf '%s\n' "$plan" | sed 's/^/    /' | head -c 60000
[ "$code" -eq 0 ] || [ "$code" -eq 2 ]
