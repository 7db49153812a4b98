/* pipe.c - messages between two threads or processes of ours */
#include "base/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool pipe_open(int ends[static 2])
{
	return pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
}

void pipe_close(int ends[static 2])
{
	int i;

	for (i = 0; i < 2; i++) {
		if (ends[i] >= 0)
			close(ends[i]);
		ends[i] = -1;
	}
}

void pipe_put(int fd, const void *message, size_t size)
{
	while (write(fd, message, size) < 0 && errno == EINTR)
		;
}

enum pipe_taken pipe_take(int fd, void *message, size_t size)
{
	ssize_t n;

	do
		n = read(fd, message, size);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return PIPE_END;
	return n == (ssize_t)size ? PIPE_MESSAGE : PIPE_NOTHING;
}
