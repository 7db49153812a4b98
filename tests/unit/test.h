/* test.h - the smallest harness: a line of TAP for each thing found out
 *
 * A test is a program.  It calls check() with what must be true and a sentence
 * that says so, and ends with `return test_end();`.
 */
#ifndef RLOCK_TEST_H
#define RLOCK_TEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int test_count;
static int test_failures;

/* Returns the condition.  Bytes that TAP would misread are shown as '?'. */
static inline bool check(bool condition, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static inline bool check(bool condition, const char *fmt, ...)
{
	char sentence[400];
	va_list args;
	char *p;

	va_start(args, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	for (p = sentence; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '#')
			*p = '?';
	printf("%s %d - %s\n", condition ? "ok" : "not ok", ++test_count,
	       sentence);
	test_failures += !condition;
	return condition;
}

/* The plan, and the exit status. */
static inline int test_end(void)
{
	printf("1..%d\n", test_count);
	return test_failures != 0;
}

#endif
