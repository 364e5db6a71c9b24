// The progress line (client/command/progress.h), on a pseudo-terminal.

#include "client/command/progress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_time.h"
#include "tests/client/run_command.h"

namespace glowworm {
namespace client {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(ProgressText, ShowsShareAndRate) {
  EXPECT_EQ(ProgressText(500, 2000, absl::Seconds(1)),
            "[#######                       ]  25%  500/2000 rows  500 rows/s");
  EXPECT_EQ(ProgressText(500, absl::nullopt, absl::Seconds(2)), "500 rows  250 rows/s");
}

TEST(ProgressTest, IsSilentWhereThereIsNoTerminal) {
  FakeTime time;
  Console console;
  console.err = memfd_create("err", 0);
  {
    Progress progress(console, 100, &time);
    time.Advance(absl::Seconds(5));
    progress.Add(50);
  }
  EXPECT_EQ(ContentOf(console.err), "");
  close(console.err);
}

TEST(ProgressTest, DrawsOnATerminalAfterHalfASecondAndClearsItsLine) {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0) GTEST_SKIP() << "no pseudo-terminals here (devpts is not mounted)";
  ASSERT_EQ(grantpt(terminal), 0);
  ASSERT_EQ(unlockpt(terminal), 0);
  const int side = open(ptsname(terminal), O_RDWR | O_NOCTTY);
  ASSERT_GE(side, 0);
  FakeTime time;
  Console console;
  console.err = side;
  {
    Progress progress(console, 100, &time);
    progress.Add(10);  // too early to be worth a line
    time.Advance(absl::Seconds(1));
    progress.Add(40);
    progress.Add(1);  // too soon after the last drawing
  }
  close(side);  // so that what is read has an end; a terminal may give it in parts
  std::string shown;
  char text[512];
  for (ssize_t size = 0; (size = read(terminal, text, sizeof(text))) > 0;) {
    shown.append(text, static_cast<size_t>(size));
  }
  EXPECT_THAT(shown, HasSubstr(" 50%  50/100 rows"));
  EXPECT_THAT(shown, testing::Not(HasSubstr("10/100")));
  EXPECT_THAT(shown, testing::Not(HasSubstr("51/100")));
  EXPECT_THAT(shown, EndsWith("\r\x1b[K"));
  close(terminal);
}

}  // namespace
}  // namespace client
}  // namespace glowworm
