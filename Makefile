# Makefile - build, test and install rlock (GNU make)
#
#   make                          build/rlock; installs nothing
#   make check                    install what is missing, pass every test
#   make demo                     the same, and see it at work
#   make install PREFIX=/usr      with DESTDIR for packagers
#   make soak SOAK=3600 SEED=7    run many at once while everything fails
#   make lint, fuzz, bench, bench-loss, dist, check-fresh, clean
#
# V=1 shows the commands.#
# WERROR=1 turns warnings into errors.  SAN=address,undefined or SAN=thread
# builds beside, into build-SAN, and the test targets then use that.

VERSION := 0.1.0
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share

comma := ,
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))
BUILD := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))
program := $(BUILD)/rlock

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2 -Wundef
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -DRLOCK_VERSION='"$(VERSION)"' \
	-Isrc -I$(BUILD) -MMD -MP $(WARNINGS) $(if $(WERROR),-Werror) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer) -pthread $(CFLAGS)
ALL_LDFLAGS := -Wl,-O1,--as-needed,-z,relro $(if $(SAN),-fsanitize=$(SAN)) \
	-pthread $(LDFLAGS)
LDLIBS := -lhiredis

rooms := base server lock process commands
sources := src/main.c $(foreach room,$(rooms),$(wildcard src/$(room)/*.c))
headers := $(foreach room,$(rooms),$(wildcard src/$(room)/*.h))
scripts := $(wildcard src/lock/scripts/*.lua)
objects := $(sources:src/%.c=$(BUILD)/%.o)
parts := $(filter-out $(BUILD)/main.o,$(objects))
unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,\
	$(wildcard tests/unit/*.c))

.PHONY: all
all: $(program)

$(program): $(objects)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/%.o: src/%.c | $(BUILD)/.gitignore
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) -c -o $@ $<

$(BUILD)/lock/lock.o: $(BUILD)/scripts.h

# Each script becomes a string: script_acquire, script_release, ...
$(BUILD)/scripts.h: src/lock/scripts/embed.sed $(scripts) | $(BUILD)/.gitignore
	@for f in $(scripts); do \
		printf 'static const char script_%s[] =\n' "$$(basename $$f .lua)"; \
		sed -f src/lock/scripts/embed.sed $$f; \
		echo '	;'; \
	done > $@.new && mv $@.new $@

# A build directory ignores itself.
$(BUILD)/.gitignore:
	@mkdir -p $(@D)
	@echo '*' > $@

# A program made of rlock's parts, with these flags besides.
define program_of_parts
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) $(ALL_LDFLAGS) $(1) -o $@ \
		$(filter %.c %.o,$^) $(LDLIBS)
endef

# One that stands alone, without a sanitizer, whatever rlock has.
define program_alone
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O2 $(1) -o $@ $<
endef

$(BUILD)/unit/%: tests/unit/%.c $(parts)
	$(call program_of_parts,-Itests/unit)

-include $(objects:.o=.d) $(unit_tests:=.d) $(BUILD)/soak/pairs.d

# --- tests ---------------------------------------------------------------
#
# check installs what is missing and passes everything; the check-* parts
# install nothing.  Results stay in $(BUILD)/tap; FILES="tests/cli/run.bats"
# limits check-cli (or check-fault) to what is named, JOBS is how many files run
# side by side.

PYTHON ?= $(shell tests/lib/python.sh)
JOBS ?= 2
SUITES ?= bookworm trixie
export RLOCK := $(abspath $(program))
export PYTHON JOBS BUILD

.PHONY: check
check:
	@tests/lib/deps.sh check
	@rm -rf $(BUILD)/tap
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory -k check-unit check-cli check-fault \
		check-interop check-line HANDOVERS=$(or $(HANDOVERS),400); made=$$?; \
		tests/lib/tap.sh total $(BUILD)/tap && exit $$made

.PHONY: check-unit
check-unit: $(unit_tests)
	@tests/lib/tap.sh run unit $(unit_tests)

# Programs that tests run.
$(BUILD)/tests/%: tests/lib/%.c
	$(call program_alone)

# What they preload.
$(BUILD)/tests/%.so: tests/lib/%.c
	$(call program_alone,-fPIC -shared)

preloaded := $(BUILD)/tests/clocks.so
test_programs := $(preloaded) $(filter-out $(preloaded:.so=),\
	$(patsubst tests/lib/%.c,$(BUILD)/tests/%,$(wildcard tests/lib/*.c)))

# With each kind of server there is.
.PHONY: check-cli
check-cli: $(program) $(test_programs)
	@tests/lib/tap.sh servers cli \
		$(or $(FILES),$(shell ls -S tests/cli/*.bats))

# The largest first, so that none of them runs alone at the end.
.PHONY: check-fault
check-fault: $(program) $(test_programs)
	@tests/lib/tap.sh servers fault \
		$(or $(FILES),$(shell ls -S tests/fault/*.bats))

.PHONY: check-interop
check-interop: $(program)
	@tests/lib/tap.sh servers interop $(wildcard tests/interop/*.bats)

# The waiting line with each kind of server there is: its order, its times, and
# so many random hand-overs.  SEED= repeats a run.
.PHONY: check-line
check-line: $(program)
	@JOBS=1 PYTHONDONTWRITEBYTECODE=1 SEED=$(SEED) \
		HANDOVERS=$(or $(HANDOVERS),5000) \
		tests/lib/tap.sh servers line tests/line/order.py tests/line/line.py

# Many runs at once while everything around them fails, for SOAK=60 seconds;
# tests/soak/soak.py says what else there is.  SEED= repeats a run.
soak_parts := $(program) $(BUILD)/soak/section $(BUILD)/soak/pairs

.PHONY: soak
soak: $(soak_parts)
	@$(PYTHON) -B tests/soak/soak.py

# Very many short runs and pairs of acquire and release; check-soak has fewer.
.PHONY: soak-runs
soak-runs: $(soak_parts)
	@RUNS=$(or $(RUNS),10000) PAIRS=$(or $(PAIRS),100000) \
		bats tests/soak/many.bats

.PHONY: check-soak
check-soak: $(soak_parts)
	@JOBS=1 PYTHONDONTWRITEBYTECODE=1 \
		tests/lib/tap.sh run soak tests/soak/many.bats tests/soak/soak.py

$(BUILD)/soak/section: tests/soak/section.c
	$(call program_alone)

$(BUILD)/soak/pairs: tests/soak/pairs.c $(parts)
	$(call program_of_parts,-Itests/unit)

# The unit tests, and each command once, under valgrind.
.PHONY: check-valgrind
check-valgrind: $(program) $(unit_tests)
	@tests/lib/tap.sh run valgrind $(wildcard tests/valgrind/*.bats)

# README's two commands in a new Debian root, for each of SUITES (root only).
.PHONY: check-fresh
check-fresh:
	tests/fresh/check.sh $(SUITES)

.PHONY: lint
lint:
	tests/lib/deps.sh lint
	tests/lint/lint.sh

.PHONY: demo
demo:
	tests/lib/deps.sh demo
	$(MAKE) all
	tests/demo/demo.sh

# --- fuzzing -------------------------------------------------------------
#
# Gives what reads foreign bytes made-up ones, FUZZ_SECONDS for each target of
# tests/fuzz; TARGET="url token" limits it to what is named.  Needs clang and its
# libFuzzer; builds into build-fuzz, and installs nothing.

FUZZ_SECONDS ?= 60
TARGET ?= $(patsubst tests/fuzz/%.c,%,\
	$(filter-out %/wire.c,$(wildcard tests/fuzz/*.c)))

.PHONY: fuzz
fuzz:
	@$(MAKE) --no-print-directory BUILD=build-fuzz SAN=address,undefined \
		CC=$(if $(findstring clang,$(CC)),$(CC),clang) \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' fuzz-all

.PHONY: fuzz-all
fuzz-all: $(TARGET:%=$(BUILD)/fuzz/%)
	@tests/fuzz/run.sh $(FUZZ_SECONDS) $(TARGET)

# The server and the clock are wire.c's, and so is a file that is opened.
FUZZ_FLAGS := -fsanitize=fuzzer \
	-Wl,--wrap=clock_now,--wrap=clock_wall,--wrap=fopen

$(BUILD)/fuzz/%: tests/fuzz/%.c tests/fuzz/wire.c \
		$(filter-out $(BUILD)/server/net.o,$(parts))
	$(call program_of_parts,-Itests/fuzz $(FUZZ_FLAGS))

-include $(wildcard $(BUILD)/fuzz/*.d)

# --- benchmark -----------------------------------------------------------
#
# Installs nothing, writes bench/results.md; QUICK=1 only sees whether it works,
# and writes to $(BUILD)/bench.  bench/bench.py has the other settings.

$(BUILD)/bench/%: bench/%.c
	$(call program_alone)

.PHONY: bench
bench: $(program) $(BUILD)/bench/alternate $(BUILD)/bench/bare
	@$(PYTHON) -B bench/bench.py

# How late a command ends that lost its lock; fails if it ended too late.
.PHONY: bench-loss
bench-loss: $(program) $(test_programs)
	@ROUNDS=$(ROUNDS) $(PYTHON) -B bench/loss.py

# --- install -------------------------------------------------------------

.PHONY: install
install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 \
		$(DESTDIR)$(DATADIR)/bash-completion/completions \
		$(DESTDIR)$(DATADIR)/zsh/site-functions \
		$(DESTDIR)$(DATADIR)/fish/vendor_completions.d
	install -m 755 $(program) $(DESTDIR)$(BINDIR)/rlock
	install -m 644 man/rlock.1 $(DESTDIR)$(MANDIR)/man1/rlock.1
	install -m 644 completions/rlock.bash \
		$(DESTDIR)$(DATADIR)/bash-completion/completions/rlock
	install -m 644 completions/_rlock \
		$(DESTDIR)$(DATADIR)/zsh/site-functions/_rlock
	install -m 644 completions/rlock.fish \
		$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/rlock.fish

.PHONY: uninstall
uninstall:
	rm -f $(DESTDIR)$(BINDIR)/rlock $(DESTDIR)$(MANDIR)/man1/rlock.1 \
		$(DESTDIR)$(DATADIR)/bash-completion/completions/rlock \
		$(DESTDIR)$(DATADIR)/zsh/site-functions/_rlock \
		$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/rlock.fish

.PHONY: dist
dist: | $(BUILD)/.gitignore
	git archive --prefix=rlock-$(VERSION)/ -o $(BUILD)/rlock-$(VERSION).tar.gz HEAD

.PHONY: clean
clean:
	rm -rf build build-*
