/* error.c - failures, and the one table of exit statuses */
#include "base/error.h"

#include "test.h"

#include <errno.h>
#include <string.h>

static void test_table(void)
{
	static const struct {
		int code;
		const char *name;
	} contract[] = {
		{ 0, "ok" },	       { 1, "no" },
		{ 64, "usage" },       { 65, "data" },
		{ 69, "unavailable" }, { 70, "internal" },
		{ 71, "system" },      { 73, "cannot create" },
		{ 74, "i/o" },	       { 75, "held" },
		{ 77, "denied" },      { 78, "config" },
		{ 79, "not ours" },    { 126, NULL },
		{ 127, NULL },	       { 128, NULL },
	};
	size_t count = 0;
	const struct status_row *rows = status_table(&count);
	size_t i;

	check(count == COUNT(contract), "the table has %zu rows (%zu)",
	      COUNT(contract), count);
	for (i = 0; i < count && i < COUNT(contract); i++) {
		check((int)rows[i].status == contract[i].code,
		      "row %zu is %d (%d)", i, contract[i].code,
		      (int)rows[i].status);
		check(!contract[i].name ||
			      !strcmp(rows[i].name, contract[i].name),
		      "%d is called '%s'", contract[i].code, rows[i].name);
		check(*rows[i].name && *rows[i].meaning,
		      "%d has a name and a meaning", contract[i].code);
	}
	for (i = 1; i < count; i++)
		check(rows[i - 1].status < rows[i].status,
		      "row %zu comes after the one before", i);
}

static void test_set(void)
{
	struct error err;
	char longest[3 * sizeof(err.text)];
	bool result;

	memset(&err, 0xff, sizeof(err));
	result = error_set(&err, STATUS_DENIED, "no %s for %d", "way", 7);
	check(!result, "error_set returns false");
	check(err.status == STATUS_DENIED, "it keeps the status");
	check(!strcmp(err.text, "no way for 7"), "it formats the text (%s)",
	      err.text);
	check(!err.passing && !err.stopped,
	      "a failure is neither passing nor a stop unless it is said");

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	error_set(&err, STATUS_IO, "%s", longest);
	check(strlen(err.text) == sizeof(err.text) - 1 &&
		      !strncmp(err.text, longest, sizeof(err.text) - 1),
	      "a text that is too long is cut");
}

static void test_errno(void)
{
	struct error err;
	char longest[3 * sizeof(err.text)];
	bool result;

	memset(&err, 0xff, sizeof(err));
	result = error_errno(&err, STATUS_SYSTEM, ENOENT, "cannot open '%s'",
			     "x");
	check(!result, "error_errno returns false");
	check(err.status == STATUS_SYSTEM && !err.passing && !err.stopped,
	      "it fills the rest");
	check(!strcmp(err.text, "cannot open 'x': No such file or directory"),
	      "it ends with the cause (%s)", err.text);

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	error_errno(&err, STATUS_IO, EIO, "%s", longest);
	check(strlen(err.text) < sizeof(err.text),
	      "a text that leaves no room for the cause stays within its room");
	longest[sizeof(err.text) - 4] = '\0';
	error_errno(&err, STATUS_IO, EIO, "%s", longest);
	check(strlen(err.text) == sizeof(err.text) - 1,
	      "a cause that does not fit is cut");
}

int main(void)
{
	test_table();
	test_set();
	test_errno();
	return test_end();
}
