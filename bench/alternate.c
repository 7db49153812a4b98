/* alternate.c - time commands against each other, one run of each a round
 *
 *   alternate ROUNDS COMMAND [ARG...] [::: COMMAND [ARG...]]...
 *
 * "{}" in an argument becomes the number of the round.  Each round has an order
 * of its own: who runs behind an interpreter finds the caches cold.  Prints one
 * line a command: the median wall time in microseconds and its ratio to the
 * first command's.  Only the ratios, measured side by side in one go, mean
 * anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16
#define ARGS_MAX     64
#define ARG_BYTES    512

extern char **environ;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Copies argv with each "{}" replaced. */
static void fill_in(char *const argv[], int round, char *filled[ARGS_MAX + 1],
		    char text[ARGS_MAX][ARG_BYTES])
{
	int i;

	for (i = 0; argv[i] && i < ARGS_MAX; i++) {
		char *mark = strstr(argv[i], "{}");

		if (mark)
			snprintf(text[i], ARG_BYTES, "%.*s%d%s",
				 (int)(mark - argv[i]), argv[i], round,
				 mark + 2);
		filled[i] = mark ? text[i] : argv[i];
	}
	filled[i] = NULL;
}

static int64_t time_once(char *const argv[], int round,
			 const posix_spawn_file_actions_t *actions)
{
	static char text[ARGS_MAX][ARG_BYTES];
	char *filled[ARGS_MAX + 1];
	int64_t begin;
	int status = 0;
	int errnum;
	pid_t pid;

	fill_in(argv, round, filled, text);
	begin = now_ns();
	errnum = posix_spawnp(&pid, filled[0], actions, NULL, filled, environ);
	if (errnum) {
		fprintf(stderr, "alternate: %s: %s\n", filled[0],
			strerror(errnum));
		exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status) {
		fprintf(stderr, "alternate: %s failed in round %d\n", filled[0],
			round);
		exit(1);
	}
	return now_ns() - begin;
}

/* The same orders in every run; rand() is random enough. */
static void shuffle(int *order, int count)
{
	int i;

	for (i = count - 1; i > 0; i--) {
		int j = rand() % (i + 1);
		int moved = order[i];

		order[i] = order[j];
		order[j] = moved;
	}
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	char **commands[COMMANDS_MAX];
	int64_t *times[COMMANDS_MAX];
	int order[COMMANDS_MAX];
	posix_spawn_file_actions_t actions;
	int rounds = argc > 2 ? atoi(argv[1]) : 0;
	int count = 0;
	int round;
	int i;

	if (rounds < 1) {
		fprintf(stderr, "usage: alternate ROUNDS COMMAND [ARG...] "
				"[::: COMMAND [ARG...]]...\n");
		return 2;
	}
	commands[count++] = argv + 2;
	for (i = 2; i < argc && count < COMMANDS_MAX; i++) {
		if (strcmp(argv[i], ":::"))
			continue;
		argv[i] = NULL;
		commands[count++] = argv + i + 1;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	for (i = 0; i < count; i++) {
		times[i] = calloc((size_t)rounds, sizeof(int64_t));
		order[i] = i;
	}
	for (round = 0; round < rounds; round++) {
		shuffle(order, count);
		for (i = 0; i < count; i++)
			times[order[i]][round] =
				time_once(commands[order[i]], round, &actions);
	}
	for (i = 0; i < count; i++)
		qsort(times[i], (size_t)rounds, sizeof(int64_t), compare);
	for (i = 0; i < count; i++) {
		double median = (double)times[i][rounds / 2];

		printf("%8.0f us  %5.2f  %s %s\n", median / 1000,
		       median / (double)times[0][rounds / 2], commands[i][0],
		       commands[i][1] ? commands[i][1] : "");
		free(times[i]);
	}
	return 0;
}
