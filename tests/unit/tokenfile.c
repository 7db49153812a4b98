/* tokenfile.c - a token in a file: written whole or not at all */
#include "base/tokenfile.h"

#include "test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN "rlock1:o:1:2:3::0123456789abcdef0123456789abcdef"

static struct tokenfile file;
static struct error err;

static void put(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd))
		abort();
}

/* Does the file hold just that? */
static bool holds(const char *path, const char *text)
{
	char buf[2 * TOKENFILE_MAX];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* How many files the directory holds. */
static int entries(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	int count = 0;

	while (dir && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			count++;
	if (dir)
		closedir(dir);
	return count;
}

static void clear(void)
{
	DIR *dir = opendir(".");
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			remove(entry->d_name);
	if (dir)
		closedir(dir);
}

static mode_t mode_of(const char *path)
{
	struct stat st = { .st_mode = 0 };

	lstat(path, &st);
	return st.st_mode;
}

/* --- writing ----------------------------------------------------------- */

static void test_write(void)
{
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	size_t i;

	for (i = 0; i < COUNT(masks); i++) {
		mode_t before = umask(masks[i]);

		check(tokenfile_check("t", &err) && entries(".") == 0,
		      "the check leaves nothing behind");
		check(tokenfile_write("t", TOKEN, &err),
		      "a token can be written (%s)", err.text);
		umask(before);
		check(mode_of("t") == (S_IFREG | 0600),
		      "[40] the file is its owner's alone with umask %03o (%o)",
		      (unsigned int)masks[i], (unsigned int)mode_of("t"));
		check(holds("t", TOKEN "\n"), "it is one line");
		check(entries(".") == 1, "nothing stays beside it");
		clear();
	}
}

static void test_replace(void)
{
	put("t", "the old one\n", 12);
	chmod("t", 0644);
	check(tokenfile_check("t", &err) && holds("t", "the old one\n"),
	      "the check leaves what is there alone");
	check(tokenfile_write("t", TOKEN, &err) && holds("t", TOKEN "\n") &&
		      mode_of("t") == (S_IFREG | 0600),
	      "a file that is there is replaced, its mode too");
	clear();

	put("target", "mine\n", 5);
	if (symlink("target", "t"))
		abort();
	check(tokenfile_check("t", &err) && S_ISLNK(mode_of("t")),
	      "[40] the check leaves a symbolic link alone");
	check(tokenfile_write("t", TOKEN, &err) && S_ISREG(mode_of("t")) &&
		      holds("t", TOKEN "\n"),
	      "[40] a symbolic link is replaced");
	check(holds("target", "mine\n"), "[40] and never followed");
	clear();

	if (symlink("nowhere", "t"))
		abort();
	check(tokenfile_write("t", TOKEN, &err) && S_ISREG(mode_of("t")) &&
		      !exists("nowhere"),
	      "[40] nor is one that leads nowhere");
	clear();
}

/* Neither the check nor the write may touch what stands at path. */
static void refuses(const char *what, const char *path, const char *cause)
{
	mode_t before = mode_of(path);

	memset(&err, 0, sizeof(err));
	check(!tokenfile_check(path, &err) &&
		      err.status == STATUS_CANNOT_CREATE &&
		      strstr(err.text, cause),
	      "the check refuses %s (%s)", what, err.text);
	memset(&err, 0, sizeof(err));
	check(!tokenfile_write(path, TOKEN, &err) &&
		      err.status == STATUS_CANNOT_CREATE &&
		      strstr(err.text, cause),
	      "so does the write (%s)", err.text);
	check(mode_of(path) == before, "and it stays what it was");
}

static void test_refused(void)
{
	char longest[300];

	if (mkdir("dir", 0700) || mkfifo("fifo", 0600) ||
	    symlink("loop", "loop"))
		abort();
	put("plain", "x\n", 2);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	refuses("no name", "", "No such file");
	refuses("a directory", "dir", "Is a directory");
	refuses("a directory with a slash", "dir/", "Is a directory");
	refuses("a name in no directory", "none/t", "No such file");
	refuses("a directory that is not there", "none/", "No such file");
	refuses("a name in a file", "plain/t", "Not a directory");
	refuses("a name behind a loop", "loop/t", "symbolic links");
	refuses("a pipe", "fifo", "not a regular file");
	refuses("a device", "/dev/null", "not a regular file");
	refuses("a name that is too long", longest, "File name too long");
	check(holds("plain", "x\n"), "the file is untouched");
	check(entries(".") == 4 && entries("dir") == 0,
	      "nothing was left behind");
	refuses("a name with controls", "none/a\033[2J\n", "a\\x1B[2J\\n'");
	clear();
}

/* root writes anywhere: only an ordinary user can be refused. */
static void test_unwritable(void)
{
	pid_t child;
	int status = -1;

	if (mkdir("dir", 0755))
		abort();
	put("dir/t", "the old one\n", 12);
	chmod("dir", 0555);
	fflush(stdout);
	child = fork();
	if (!child) {
		if (getuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(2);
		_exit(tokenfile_check("dir/t", &err) ||
		      tokenfile_write("dir/t", TOKEN, &err) ||
		      err.status != STATUS_CANNOT_CREATE ||
		      !strstr(err.text, "Permission denied"));
	}
	waitpid(child, &status, 0);
	chmod("dir", 0755);
	check(status == 0, "a directory that cannot be written is refused");
	check(holds("dir/t", "the old one\n") && entries("dir") == 1,
	      "and nothing in it is touched");
	remove("dir/t");
	clear();
}

/* --- reading ----------------------------------------------------------- */

static void test_read(void)
{
	static const struct {
		const char *what;
		const char *text;
		size_t len;
		const char *token; /* NULL: refused */
	} rows[] = {
		{ "a token and a newline", TOKEN "\n", sizeof(TOKEN), TOKEN },
		{ "a token alone", TOKEN, sizeof(TOKEN) - 1, TOKEN },
		{ "one byte", "x", 1, "x" },
		{ "blanks and quotes", " a \"b\" \n", 8, " a \"b\" " },
		{ "two newlines", "a\n\n", 3, "a\n" },
		{ "two lines", "a\nb\n", 4, "a\nb" },
		{ "a carriage return", "a\r\n", 3, "a\r" },
		{ "bytes that are no UTF-8", "\xff\xfe\n", 3, "\xff\xfe" },
		{ "nothing", "", 0, NULL },
		{ "a newline alone", "\n", 1, NULL },
		{ "a NUL", "a\0b\n", 4, NULL },
		{ "a NUL at the end", "a\0", 2, NULL },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		bool done;

		put("t", rows[i].text, rows[i].len);
		memset(&err, 0, sizeof(err));
		done = tokenfile_read("t", &file, &err);
		if (rows[i].token)
			check(done && !strcmp(file.token, rows[i].token),
			      "%s can be read", rows[i].what);
		else
			check(!done && err.status == STATUS_DATA &&
				      strstr(err.text, "'t'"),
			      "%s is refused (%s)", rows[i].what, err.text);
		check(exists("t"), "reading removes nothing");
	}
	clear();
}

static void test_read_lengths(void)
{
	static char text[3 * TOKENFILE_MAX];
	static const struct {
		size_t len; /* without the newline */
		bool newline;
		bool taken;
	} rows[] = {
		{ TOKENFILE_MAX, true, true },
		{ TOKENFILE_MAX, false, true },
		{ TOKENFILE_MAX + 1, true, false },
		{ TOKENFILE_MAX + 1, false, false },
		{ TOKENFILE_MAX + 2, false, false },
		{ 2 * TOKENFILE_MAX, true, false },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		memset(text, 'x', sizeof(text));
		if (rows[i].newline)
			text[rows[i].len] = '\n';
		put("t", text, rows[i].len + rows[i].newline);
		check(tokenfile_read("t", &file, &err) == rows[i].taken,
		      "%zu bytes%s are %s", rows[i].len,
		      rows[i].newline ? " and a newline" : "",
		      rows[i].taken ? "a token" : "too many");
		if (rows[i].taken)
			check(strlen(file.token) == rows[i].len,
			      "all of them are read");
	}
	clear();
}

static void test_unreadable(void)
{
	static const struct {
		const char *path;
		const char *cause;
	} rows[] = {
		{ "", "No such file" },
		{ "none", "No such file" },
		{ ".", "Is a directory" },
		{ "t/x", "Not a directory" },
		{ "none\n\033[2J", "'none\\n\\x1B[2J'" },
	};
	size_t i;

	put("t", TOKEN, sizeof(TOKEN) - 1);
	for (i = 0; i < COUNT(rows); i++) {
		memset(&err, 0, sizeof(err));
		check(!tokenfile_read(rows[i].path, &file, &err) &&
			      err.status == STATUS_DATA &&
			      strstr(err.text, rows[i].cause),
		      "'%s' cannot be read (%s)", rows[i].path, err.text);
	}
	clear();
}

/* A pipe gives a token in pieces. */
static void test_read_pipe(void)
{
	pid_t child;

	if (mkfifo("fifo", 0600))
		abort();
	fflush(stdout);
	child = fork();
	if (!child) {
		int fd = open("fifo", O_WRONLY);
		const char *p;

		for (p = TOKEN "\n"; *p; p++)
			if (write(fd, p, 1) != 1)
				_exit(1);
		_exit(0);
	}
	check(tokenfile_read("fifo", &file, &err) && !strcmp(file.token, TOKEN),
	      "a token can come from a pipe");
	waitpid(child, NULL, 0);
	tokenfile_remove("fifo", &file, true);
	check(exists("fifo"), "which is never removed");
	clear();
}

/* --- removing ---------------------------------------------------------- */

static void test_remove(void)
{
	tokenfile_write("t", TOKEN, &err);
	check(tokenfile_read("t", &file, &err) && !strcmp(file.token, TOKEN),
	      "what was written can be read");
	tokenfile_remove("t", &file, true);
	check(!exists("t"), "and removed");
	tokenfile_remove("t", &file, true);
	check(!exists("t"), "removing it twice does no harm");

	tokenfile_write("t", TOKEN, &err);
	tokenfile_read("t", &file, &err);
	tokenfile_write("t", "another", &err);
	tokenfile_remove("t", &file, true);
	check(holds("t", "another\n"),
	      "a file that has taken its place is left alone");
	clear();

	tokenfile_write("t", TOKEN, &err);
	tokenfile_read("t", &file, &err);
	if (rename("t", "moved") || symlink("moved", "t"))
		abort();
	tokenfile_remove("t", &file, true);
	check(exists("t") && holds("moved", TOKEN "\n"),
	      "and so is a symbolic link that has");
	clear();

	tokenfile_write("t", "two\nlines", &err);
	tokenfile_read("t", &file, &err);
	tokenfile_remove("t", &file, false);
	check(exists("t"), "what looks like a script is left alone");
	tokenfile_remove("t", &file, true);
	check(!exists("t"), "unless it has proven to be a token");

	tokenfile_write("t", TOKEN, &err);
	chmod("t", S_IRUSR | S_IXUSR);
	tokenfile_read("t", &file, &err);
	tokenfile_remove("t", &file, false);
	check(exists("t"), "what can be executed is left alone");
	clear();
}

int main(void)
{
	char place[] = "/tmp/rlock-tokenfile.XXXXXX";
	int status;

	if (!mkdtemp(place) || chmod(place, 0755) || chdir(place))
		abort();
	test_write();
	test_replace();
	test_refused();
	test_unwritable();
	test_read();
	test_read_lengths();
	test_unreadable();
	test_read_pipe();
	test_remove();
	status = test_end();
	if (chdir("/") || rmdir(place))
		status = 1;
	return status;
}
