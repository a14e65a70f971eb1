/* The IPv4 and IPv6 addresses of a name, one a line, as the C library that this is linked with finds them. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int count, char **words)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int wrong = count == 2 ? getaddrinfo(words[1], NULL, &hints, &found) : EAI_NONAME;
    if (wrong) {
        printf("%s\n", gai_strerror(wrong));
        return 1;
    }
    for (; found; found = found->ai_next) {
        char text[INET6_ADDRSTRLEN];
        void *address = found->ai_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr
                                                     : (void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr;
        puts(inet_ntop(found->ai_family, address, text, sizeof text));
    }
    return 0;
}
