# load.sh SERVICE [N]: N requests (300), each on a connection of its own; 20 seconds at the most.
# Says how long the one in the middle took, and what kube-proxy had to spend on all of them.
service=$1 n=${2:-300}
url=$(kubectl get service "$service" -o jsonpath='http://{.spec.clusterIP}:{.spec.ports[0].port}/')
spent() { cut -d' ' -f14,15 "/proc/$(systemctl show -p MainPID --value kube-proxy)/stat" | { read -r user system; echo $((user + system)); }; }
before=$(spent)
timeout 20 curl -s -o /dev/null -H 'Connection: close' -w '%{http_code} %{time_total}\n' "$url?[1-$n]" |
  sed -n 's/^200 //p' | sort -n > /tmp/load.times
after=$(spent)
answers=$(wc -l < /tmp/load.times)
echo "$answers answers, half of them within $(sed -n "$(((answers + 1) / 2))p" /tmp/load.times) s"
echo "kube-proxy spent $(((after - before) * 10)) ms of CPU"
