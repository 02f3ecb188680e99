// Protobuf's tables of reflection are registered when somebody first asks for one, not at the
// start.
//
// Generated code has a static object per .proto file that parses the whole file's description; that
// was nine tenths of what `allot version` did after its libraries were loaded. Whoever reflects
// registers the file once more before it looks (AssignDescriptors), so for a program that finds
// messages by their types and not by their names these objects do nothing that is needed. `allot`
// is linked with --wrap (client/CMakeLists.txt), which puts this in the place of their constructor;
// the servers are not.
extern "C" void
__wrap__ZN6google8protobuf8internal20AddDescriptorsRunnerC1EPKNS1_15DescriptorTableE(
    void* /*self*/, const void* /*table*/) {}
