/* tokenfile.c - a file that is said to hold a token */
#include "base/tokenfile.h"

#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *place(void)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("token", MFD_CLOEXEC);
		must(fd >= 0 && !fchmod(fd, 0600));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	return path;
}

static void put(const uint8_t *data, size_t size)
{
	int fd = open(place(), O_WRONLY | O_TRUNC | O_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tokenfile file;
	size_t len = size && data[size - 1] == '\n' ? size - 1 : size;
	bool fits = len && len <= TOKENFILE_MAX && !memchr(data, '\0', len);
	struct error err = { .status = STATUS_OK };

	put(data, size);
	must(tokenfile_read(place(), &file, &err) == fits);
	if (!fits) {
		must(err.status == STATUS_DATA && fuzz_is_printable(err.text));
		return 0;
	}
	must(strlen(file.token) == len && !memcmp(file.token, data, len));
	must(file.regular && file.looks_right == !memchr(data, '\n', len));
	return 0;
}
