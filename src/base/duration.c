/* duration.c - spans of time as people write and read them */
#include "base/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Milliseconds in a unit; 0 if there is no such unit. */
static msec unit_ms(const char *unit)
{
	static const struct {
		const char *name;
		msec ms;
	} units[] = {
		{ "", 1000 },	    { "ms", 1 },      { "s", 1000 },
		{ "m", 60 * 1000 }, { "h", 3600000 }, { "d", 86400000 },
	};
	size_t i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].name))
			return units[i].ms;
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool duration_parse(const char *text, msec *span)
{
	const char *p = text;
	const char *fraction = NULL;
	msec whole = 0;
	msec part = 0;
	msec scale;
	msec unit;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++) {
		whole = whole * 10 + (*p - '0');
		if (whole > DURATION_MAX)
			return false;
	}
	if (*p == '.') {
		fraction = ++p;
		if (!is_digit(*p))
			return false;
		while (is_digit(*p))
			p++;
	}
	unit = unit_ms(p);
	if (!unit || whole > DURATION_MAX / unit)
		return false;
	/* Digit by digit in whole numbers: 0.001s is 1 ms, never 0.  Each
	 * digit is worth a tenth of the one before, so what is below a
	 * millisecond falls off.  The unit, times a million, keeps the
	 * smaller digits of a day's fraction. */
	scale = unit * 1000000;
	for (; fraction && is_digit(*fraction); fraction++) {
		scale /= 10;
		part += scale * (*fraction - '0');
	}
	whole = whole * unit + part / 1000000;
	if (whole > DURATION_MAX)
		return false;
	*span = whole;
	return true;
}

const char *duration_format(char buf[static DURATION_TEXT_MAX], msec span)
{
	static const struct {
		msec ms;
		char name;
		msec smaller;
		char smaller_name;
	} units[] = {
		{ 86400000, 'd', 3600000, 'h' },
		{ 3600000, 'h', 60000, 'm' },
		{ 60000, 'm', 1000, 's' },
	};
	size_t i;

	if (span < 0)
		span = 0;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (span < units[i].ms)
			continue;
		snprintf(buf, DURATION_TEXT_MAX, "%" PRId64 "%c%" PRId64 "%c",
			 span / units[i].ms, units[i].name,
			 span % units[i].ms / units[i].smaller,
			 units[i].smaller_name);
		return buf;
	}
	if (span > 0 && span < 1000)
		snprintf(buf, DURATION_TEXT_MAX, "%" PRId64 "ms", span);
	else
		snprintf(buf, DURATION_TEXT_MAX, "%" PRId64 "s", span / 1000);
	return buf;
}
