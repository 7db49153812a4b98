/* duration.c - spans of time as people write them */
#include "base/duration.h"

#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>

/* Seconds and milliseconds of what was read read as the same. */
static void check_again(msec span)
{
	char text[40];
	msec again = -1;

	snprintf(text, sizeof(text), "%" PRId64 "ms", span);
	must(duration_parse(text, &again) && again == span);
	snprintf(text, sizeof(text), "%" PRId64 ".%03ds", span / 1000,
		 (int)(span % 1000));
	must(duration_parse(text, &again) && again == span);
}

/* What people are shown, with one unit, reads as what it says; with two, both
 * count. */
static void check_shown(msec span)
{
	char text[DURATION_TEXT_MAX];
	msec sum = 0;
	char *p;

	must(duration_format(text, span) == text);
	must(strlen(text) < DURATION_TEXT_MAX);
	for (p = text; *p;) {
		char one[DURATION_TEXT_MAX];
		size_t digits = strspn(p, "0123456789");
		size_t unit = strspn(p + digits, "msdh");
		msec part = 0;

		must(digits && unit);
		snprintf(one, sizeof(one), "%.*s", (int)(digits + unit), p);
		must(duration_parse(one, &part));
		sum += part;
		p += digits + unit;
	}
	must(sum <= span && span - sum < (span < 1000	    ? 1
					  : span < 3600000  ? 1000
					  : span < 86400000 ? 60000
							    : 3600000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	char shown[DURATION_TEXT_MAX];
	msec span = -7;
	msec any = 0;

	if (duration_parse(text, &span)) {
		must(span >= 0 && span <= DURATION_MAX);
		must(strspn(text, "0123456789.mshd") == strlen(text));
		check_again(span);
		check_shown(span);
	} else {
		must(span == -7);
	}
	if (size >= sizeof(any)) {
		memcpy(&any, data, sizeof(any));
		must(strlen(duration_format(shown, any)) < sizeof(shown));
	}
	free(text);
	return 0;
}
