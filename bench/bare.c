/* bare.c - the least a lock can cost: libc, one socket, no checks
 *
 *   bare acquire SOCKET KEY          connect, SET NX PX, read the reply
 *   bare run SOCKET KEY COMMAND...   the same, then posix_spawn, wait, EVAL
 *
 * SOCKET is a path, or a port on 127.0.0.1.  A yardstick for start-up, not a
 * lock: it asks for no password, makes no fence, renews nothing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN "0123456789abcdef0123456789abcdef"

extern char **environ;

static int dial(const char *where)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in remote = { .sin_family = AF_INET };
	struct sockaddr *addr = (struct sockaddr *)&local;
	socklen_t len = sizeof(local);
	int fd;

	if (where[0] != '/') {
		remote.sin_port = htons((unsigned short)atoi(where));
		remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		addr = (struct sockaddr *)&remote;
		len = sizeof(remote);
	} else {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s", where);
	}
	fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, addr, len))
		_exit(1);
	return fd;
}

/* Sends the words as one request and checks the first byte of the reply. */
static void ask(int fd, int count, const char *const *words, char expected)
{
	char text[2048];
	char reply[512];
	int used = snprintf(text, sizeof(text), "*%d\r\n", count);
	int i;

	for (i = 0; i < count; i++)
		used += snprintf(text + used, sizeof(text) - (size_t)used,
				 "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
	if (write(fd, text, (size_t)used) != used ||
	    read(fd, reply, sizeof(reply)) < 1 || reply[0] != expected)
		_exit(1);
}

int main(int argc, char **argv)
{
	static const char script[] =
		"if redis.call('GET',KEYS[1])==ARGV[1] then "
		"return redis.call('DEL',KEYS[1]) end return 0";
	pid_t pid;
	int status = 0;
	int fd;

	if (argc < 4)
		return 2;
	fd = dial(argv[2]);
	ask(fd, 6,
	    (const char *[]){ "SET", argv[3], TOKEN, "NX", "PX", "30000" },
	    '+');
	if (!strcmp(argv[1], "acquire")) {
		puts(TOKEN);
		return 0;
	}
	if (argc < 5 ||
	    posix_spawnp(&pid, argv[4], NULL, NULL, argv + 4, environ))
		return 1;
	waitpid(pid, &status, 0);
	ask(fd, 5, (const char *[]){ "EVAL", script, "1", argv[3], TOKEN },
	    ':');
	return WEXITSTATUS(status);
}
