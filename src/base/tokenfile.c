/* tokenfile.c - a token in a file: written whole or not at all */
#include "base/tokenfile.h"

#include "base/escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOWN_MAX 300 /* bytes of a path in a message */

static bool unwritable(struct error *err, const char *path, const char *why)
{
	char shown[SHOWN_MAX];

	escape_display(shown, sizeof(shown), path, strlen(path));
	return error_set(err, STATUS_CANNOT_CREATE,
			 "cannot write token file '%s': %s", shown, why);
}

static bool cannot(struct error *err, int errnum, const char *path)
{
	return unwritable(err, path, strerror(errnum));
}

/* Makes a file beside path, open for its owner alone.  On success *beside is
 * its name, which the caller frees. */
static int open_beside(const char *path, char **beside, struct error *err)
{
	size_t size = strlen(path) + sizeof(".XXXXXX");
	char *name = malloc(size);
	int fd;

	if (!name) {
		cannot(err, ENOMEM, path);
		return -1;
	}
	snprintf(name, size, "%s.XXXXXX", path);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0) {
		*beside = name;
		return fd;
	}
	cannot(err, errno, path);
	if (fd >= 0) {
		unlink(name);
		close(fd);
	}
	free(name);
	return -1;
}

/* A rename would replace whatever stands there, a device included. */
static bool place_is_sane(const char *path, struct error *err)
{
	struct stat st;

	if (!*path)
		return cannot(err, ENOENT, path);
	if (lstat(path, &st))
		return errno == ENOENT ? true : cannot(err, errno, path);
	if (S_ISDIR(st.st_mode))
		return cannot(err, EISDIR, path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return unwritable(err, path, "not a regular file");
	return true;
}

bool tokenfile_check(const char *path, struct error *err)
{
	char *beside = NULL;
	int fd;

	if (!place_is_sane(path, err))
		return false;
	fd = open_beside(path, &beside, err);
	if (fd < 0)
		return false;
	unlink(beside);
	free(beside);
	close(fd);
	return true;
}

static bool write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

bool tokenfile_write(const char *path, const char *token, struct error *err)
{
	char *beside = NULL;
	bool done = false;
	int fd;

	if (!place_is_sane(path, err))
		return false;
	fd = open_beside(path, &beside, err);
	if (fd < 0)
		return false;
	if (!write_all(fd, token, strlen(token)) || !write_all(fd, "\n", 1) ||
	    fsync(fd) || rename(beside, path)) {
		cannot(err, errno, path);
		unlink(beside);
	} else {
		done = true;
	}
	close(fd);
	free(beside);
	return done;
}

static bool unreadable(struct error *err, const char *path, const char *why)
{
	char shown[SHOWN_MAX];

	escape_display(shown, sizeof(shown), path, strlen(path));
	return error_set(err, STATUS_DATA, "cannot read token file '%s': %s",
			 shown, why);
}

/* Does it look like a token file, and not like a script that -f named by
 * mistake: one line, not to be executed? */
static bool looks_right(const struct stat *st, const char *text, size_t len)
{
	return !(st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) &&
	       !memchr(text, '\n', len);
}

bool tokenfile_read(const char *path, struct tokenfile *file, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char text[TOKENFILE_MAX + 2]; /* a newline, and one byte too many */
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return unreadable(err, path, strerror(errno));
	while (n > 0 && len < sizeof(text)) {
		n = read(fd, text + len, sizeof(text) - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (n < 0 || fstat(fd, &st)) {
		unreadable(err, path, strerror(errno));
		close(fd);
		return false;
	}
	close(fd);
	if (len && text[len - 1] == '\n')
		len--;
	if (!len)
		return unreadable(err, path, "it holds no token");
	if (len > TOKENFILE_MAX || memchr(text, '\0', len))
		return unreadable(err, path, "what it holds is no token");
	memcpy(file->token, text, len);
	file->token[len] = '\0';
	file->device = st.st_dev;
	file->inode = st.st_ino;
	file->regular = S_ISREG(st.st_mode);
	file->looks_right = looks_right(&st, text, len);
	return true;
}

void tokenfile_remove(const char *path, const struct tokenfile *file,
		      bool proven)
{
	struct stat st;

	if (file->regular && (proven || file->looks_right) &&
	    !lstat(path, &st) && st.st_dev == file->device &&
	    st.st_ino == file->inode)
		unlink(path);
}
