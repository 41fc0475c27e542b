// How a report looks as text and as JSON.
#include "tools/report_printer.h"

#include <gtest/gtest.h>

namespace tuff::tools {
namespace {

inspect::Object Sample() {
  inspect::Object object;
  object.Number("count", 3);
  object.Hex("state", 31, "clean");
  object.Table("records");
  object.Bytes("key", std::string("a\0\xff", 3));
  inspect::Object& row = object.Row("records");
  row.Number("index", 7);
  row.Text("type", "put");
  object.Row("records").Number("index", 12);
  object.Child("inside").Bool("whole", true);
  object.Table("none");
  object.List("lanes").emplace_back().Time("made_ns", 0);
  object.List("no_lanes");
  return object;
}

TEST(ReportPrinter, PrintsScalarsFirstThenWhatIsInside) {
  EXPECT_EQ(ObjectText(Sample()),
            "count  3\n"
            "state  0x1f (clean)\n"
            "key    \"a\\x00\\xff\"\n"
            "\n"
            "records:\n"
            "  index  type\n"
            "      7  put\n"
            "     12  -\n"
            "\n"
            "inside:\n"
            "  whole  yes\n"
            "\n"
            "none: none\n"
            "\n"
            "lanes:\n"
            "  made_ns  0\n");
}

TEST(ReportPrinter, PrintsTheSameAsJson) {
  JsonObject json;
  AddJson(Sample(), &json);
  EXPECT_EQ(json.Line(),
            "{\"count\":3,\"state\":\"0x1f\",\"state_text\":\"clean\","
            "\"records\":[{\"index\":7,\"type\":\"put\"},{\"index\":12}],\"key_base64\":\"YQD/\","
            "\"inside\":{\"whole\":true},\"none\":[],\"lanes\":[{\"made_ns\":0}],\"no_lanes\":[]}");
}

TEST(ReportPrinter, CutsLongBytes) {
  inspect::Object object;
  object.Bytes("key", std::string(1000, 'k'));
  EXPECT_EQ(ObjectText(object), "key  \"" + std::string(200, 'k') + "\"... (1000 bytes)\n");
}

TEST(ReportPrinter, SaysFirstWhatIsWrong) {
  inspect::Report report;
  EXPECT_EQ(HeadText(report), "");
  report.notes.emplace_back("in use");
  report.damage.emplace_back("line\nbreak");
  EXPECT_EQ(HeadText(report), "note: in use\ndamaged: line\\nbreak\n\n");
}

TEST(HexDump, LooksLikeHexdumps) {
  std::string bytes(64, '\0');
  bytes += "0123456789abcdef!";
  EXPECT_EQ(HexDump(bytes),
            "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n"
            "*\n"
            "00000040  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n"
            "00000050  21                                                |!|\n"
            "00000051\n");
  EXPECT_EQ(HexDump(""), "00000000\n");
}

}  // namespace
}  // namespace tuff::tools
