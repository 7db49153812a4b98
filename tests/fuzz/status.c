/* status.c - the command that shows most of what a server says
 *
 * The first byte chooses one lock or, a, all of them, as a table or, j and A, as
 * JSON; the rest is the server's script (wire.h).
 */
#include "fuzz.h"
#include "commands/commands.h"
#include "commands/report.h"
#include "json.h"
#include "server/url.h"
#include "wire.h"

#include <stdio.h>

static void check_lines(char *text, bool json)
{
	char *line = text;
	char *end;

	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		*end = '\0';
		must(fuzz_is_printable(line));
		must(!json || json_is_valid(line));
	}
	must(!*line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *names[] = { "na\"me\n", NULL };
	char what = size ? (char)data[0] : '1';
	bool all = what == 'a' || what == 'A';
	struct options options = {
		.timeout = 300,
		.json = what == 'j' || what == 'A',
		.name = all ? NULL : names[0],
		.names = names + all,
		.token = "token",
	};
	FILE *usual = stdout;
	char *text = NULL;
	struct error err;
	size_t len = 0;
	int death = 0;
	int status;

	if (!size)
		return 0;
	must(url_parse(&options.url, "redis://:pass@10.0.0.1/3", &err));
	stdout = open_memstream(&text, &len);
	must(stdout);
	wire_open(data + 1, size - 1, false);
	status = command_status(&options, &death);
	must(!fclose(stdout));
	stdout = usual;
	must(strlen(text) == len);
	check_lines(text, options.json);
	must(status == STATUS_OK || status == STATUS_NO ||
	     (status >= STATUS_USAGE && status <= STATUS_NOT_OURS));
	must(!death);
	free(text);
	url_release(&options.url);
	wire_close();
	return 0;
}
