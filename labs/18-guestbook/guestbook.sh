#!/bin/sh
# The whole frontend, a CGI program: what is POSTed goes to the master, what is shown comes from a slave.
printf 'Content-Type: text/plain\r\n\r\n'
if [ "$REQUEST_METHOD" = POST ]; then
  redis-cli -h redis-master rpush $BOOK "$(head -c "$CONTENT_LENGTH")" > /dev/null
fi
echo "-- $BOOK, $VERSION, shown by $(hostname)"
redis-cli -h redis-slave lrange $BOOK 0 -1
