# Sourced by .ci/run and the scripts of tests/: `stage NAME COMMAND...` runs the command under a heading and prints the
# seconds that it took.
stage() {
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@"
  printf '== %s: %d s\n' "$name" $((SECONDS - start))
}
