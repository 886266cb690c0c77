using System.Diagnostics;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// Ties the children's lives to ours: a small shell in a session of its own reads the pids of our children from a pipe. When the
/// pipe ends without a goodbye — we were killed, in whatever way — it kills them. See docs/decisions/0002-children-die-with-the-apphost.md.
/// </summary>
internal sealed class ProcessGuard : IDisposable
{
    // "+ pid" and "- pid" keep the list, "quit" says goodbye. On a bare end of input: PostgreSQL ("+q") gets SIGQUIT, its word for
    // stopping at once with all backends, and SIGKILL like everybody else if that has not helped within 3 s.
    private const string Script = """
        trap '' INT TERM HUP QUIT
        all=; gentle=
        without() { out=; for p in $1; do [ "$p" = "$2" ] || out="$out $p"; done; }
        while read -r word pid; do
          case $word in
            +) all="$all $pid" ;;
            +q) gentle="$gentle $pid" ;;
            -) without "$all" "$pid"; all=$out; without "$gentle" "$pid"; gentle=$out ;;
            quit) exit 0 ;;
          esac
        done
        rm -f "$1"
        [ -n "$all" ] && kill -KILL $all 2>/dev/null
        [ -n "$gentle" ] || exit 0
        kill -QUIT $gentle 2>/dev/null; kill -CONT $gentle 2>/dev/null
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
          kill -0 $gentle 2>/dev/null || exit 0
          sleep 0.2
        done
        kill -KILL $gentle 2>/dev/null
        """;

    private readonly Process? _shell;
    private readonly Lock _pipe = new();

    /// <param name="runFile">Removed when we are killed, as we would have done ourselves.</param>
    public ProcessGuard(string runFile)
    {
        if (OperatingSystem.IsWindows())
            return;

        var start = ProcessStart.InOwnSession(["/bin/sh", "-c", Script, "aiaspire-guard", runFile]);
        start.RedirectStandardInput = true;
        _shell = Process.Start(start);
    }

    public void Add(int pid, bool gentle) => Say($"{(gentle ? "+q" : "+")} {pid}");

    public void Remove(int pid) => Say($"- {pid}");

    public void Dispose()
    {
        Say("quit");
        _shell?.Dispose();
    }

    private void Say(string line)
    {
        if (_shell is null)
            return;

        lock (_pipe)
        {
            try
            {
                _shell.StandardInput.Write(line + "\n");
                _shell.StandardInput.Flush();
            }
            catch (IOException)
            {
                // The guard itself was killed. Without it we only lose the protection against our own sudden death.
            }
        }
    }
}
