# A scheduler in shell. emptiest, in emptiest.sh, prints the name of a node; it is yours to write.
. ./bind.sh
. ./emptiest.sh
while sleep 1; do
  for pod in $(waiting); do
    bind "$pod" "$(emptiest)"
  done
done
