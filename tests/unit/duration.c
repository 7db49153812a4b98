/* duration.c - spans of time as people write and read them */
#include "base/duration.h"

#include "test.h"

#include <inttypes.h>
#include <string.h>

static const struct {
	const char *text;
	msec span;
} good[] = {
	{ "0", 0 },
	{ "0s", 0 },
	{ "0.0d", 0 },
	{ "1", 1000 },
	{ "30", 30000 },
	{ "007", 7000 },
	{ "1ms", 1 },
	{ "500ms", 500 },
	{ "1.5s", 1500 },
	{ "1.5", 1500 },
	{ "30s", 30000 },
	{ "5m", 300000 },
	{ "2h", 7200000 },
	{ "1d", 86400000 },
	{ "0.001s", 1 },
	{ "0.001", 1 },
	{ "0.35s", 350 },
	{ "0.29s", 290 },
	{ "1.1s", 1100 },
	{ "2.675s", 2675 },
	{ "4.35s", 4350 },
	{ "0.1m", 6000 },
	{ "0.5h", 1800000 },
	{ "0.00001d", 864 },
	{ "0.0009765625d", 84375 },
	{ "1.000000000000000000000000000000000000000001s", 1000 },
	/* rounded down */
	{ "0.0009s", 0 },
	{ "0.0019s", 1 },
	{ "0.9ms", 0 },
	{ "1.999ms", 1 },
	{ "0.99999999999999999999999s", 999 },
	{ "0.00001m", 0 },
	{ "0.00002m", 1 },
	/* the longest */
	{ "36500d", DURATION_MAX },
	{ "876000h", DURATION_MAX },
	{ "3153600000", DURATION_MAX },
	{ "3153600000000ms", DURATION_MAX },
	{ "00000000000000000000000000000000000001s", 1000 },
};

static const char *const bad[] = {
	"",
	" ",
	"s",
	".",
	".5s",
	"1.",
	"1.s",
	"1..5s",
	"1.5.5s",
	"-1",
	"-0",
	"-5",
	"+1",
	" 5",
	"5 ",
	"5 s",
	"5\n",
	"1h30",
	"1h30m",
	"1m30s",
	"1ss",
	"1S",
	"1M",
	"1MS",
	"1sec",
	"1w",
	"1y",
	"1us",
	"1,5s",
	"1e3",
	"1e18",
	"1E3",
	"0x10",
	"1_000",
	"nan",
	"inf",
	"none",
	"forever",
	"\xd9\xa1s", /* an Arabic one */
	"36500.00001d",
	"36501d",
	"3153600001",
	"3153600000.001s",
	"3153600000001ms",
	"9223372036854775807",
	"9223372036854775807ms",
	"9223372036854775808ms",
	"18446744073709551616",
	"18446744073709551617ms",
	"99999999999999999999999999999999999999999999d",
};

static const struct {
	msec span;
	const char *text;
} formats[] = {
	{ INT64_MIN, "0s" },
	{ -1, "0s" },
	{ 0, "0s" },
	{ 1, "1ms" },
	{ 450, "450ms" },
	{ 999, "999ms" },
	{ 1000, "1s" },
	{ 1999, "1s" },
	{ 18000, "18s" },
	{ 59999, "59s" },
	{ 60000, "1m0s" },
	{ 192000, "3m12s" },
	{ 3599999, "59m59s" },
	{ 3600000, "1h0m" },
	{ 7500000, "2h5m" },
	{ 86399999, "23h59m" },
	{ 86400000, "1d0h" },
	{ 356400000, "4d3h" },
	{ DURATION_MAX, "36500d0h" },
	{ INT64_MAX, "106751991167d7h" },
};

static void test_parse(void)
{
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		msec span = -7;
		bool done = duration_parse(good[i].text, &span);

		check(done && span == good[i].span,
		      "'%s' is %" PRId64 " ms (%d, %" PRId64 ")", good[i].text,
		      good[i].span, done, span);
	}
	for (i = 0; i < COUNT(bad); i++) {
		msec span = -7;
		bool done = duration_parse(bad[i], &span);

		check(!done && span == -7,
		      "[3] '%s' is no span and leaves it alone (%d, %" PRId64
		      ")",
		      bad[i], done, span);
	}
}

/* Fractions are decimal, not the nearest binary ones. */
static void test_every_millisecond(void)
{
	msec wrong = -1;
	msec ms;

	for (ms = 0; ms < 20000; ms++) {
		char text[40];
		msec span = -7;

		snprintf(text, sizeof(text), "%" PRId64 ".%03" PRId64 "s",
			 ms / 1000, ms % 1000);
		if (!duration_parse(text, &span) || span != ms)
			wrong = ms;
	}
	check(wrong < 0,
	      "each millisecond up to 20 s written as seconds is exact "
	      "(%" PRId64 ")",
	      wrong);
}

static void test_format(void)
{
	char buf[DURATION_TEXT_MAX];
	size_t i;

	for (i = 0; i < COUNT(formats); i++) {
		const char *text = duration_format(buf, formats[i].span);

		check(text == buf && !strcmp(text, formats[i].text),
		      "%" PRId64 " ms reads as '%s' (%s)", formats[i].span,
		      formats[i].text, text);
	}
}

int main(void)
{
	test_parse();
	test_every_millisecond();
	test_format();
	return test_end();
}
