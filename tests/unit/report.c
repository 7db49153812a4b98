/* report.c - numbers as people say them */
#include "commands/report.h"

#include "test.h"

#include <stdint.h>
#include <string.h>

static void test_ordinal(void)
{
	static const struct {
		size_t number;
		const char *text;
	} rows[] = {
		{ 0, "0th" },	    { 1, "1st" },	{ 2, "2nd" },
		{ 3, "3rd" },	    { 4, "4th" },	{ 5, "5th" },
		{ 9, "9th" },	    { 10, "10th" },	{ 11, "11th" },
		{ 12, "12th" },	    { 13, "13th" },	{ 14, "14th" },
		{ 19, "19th" },	    { 20, "20th" },	{ 21, "21st" },
		{ 22, "22nd" },	    { 23, "23rd" },	{ 24, "24th" },
		{ 100, "100th" },   { 101, "101st" },	{ 102, "102nd" },
		{ 110, "110th" },   { 111, "111th" },	{ 112, "112th" },
		{ 113, "113th" },   { 121, "121st" },	{ 1000, "1000th" },
		{ 1001, "1001st" }, { 1011, "1011th" },
	};
	char buf[REPORT_ORDINAL_MAX];
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		report_ordinal(buf, rows[i].number);
		check(!strcmp(buf, rows[i].text), "%zu is '%s', not '%s'",
		      rows[i].number, rows[i].text, buf);
	}
	report_ordinal(buf, UINT32_MAX);
	check(!strcmp(buf, "4294967295th"), "a large one fits (%s)", buf);
}

int main(void)
{
	test_ordinal();
	return test_end();
}
