# A visitor who comes again and again, and writes down who served: sh visitor.sh ADDRESS
while sleep 0.2; do
  curl -s -m 3 "http://$1/" || echo FAILED
done
