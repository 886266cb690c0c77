using Aspire.Hosting.ApplicationModel;

namespace Aspire.Hosting.Embedded;

/// <summary>What the AppHost shows on the terminal. Colours only on a terminal, and not when NO_COLOR is set.</summary>
internal sealed class ConsoleBoard(TextWriter output, bool silent)
{
    private static readonly string[] Colours = ["36", "33", "35", "32", "34", "96", "93", "95", "92", "94"];
    private readonly bool _coloured = !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
    private readonly Dictionary<string, string> _colourOf = new(StringComparer.Ordinal);
    private readonly Lock _writing = new();
    private int _width = 12;

    /// <summary>One line of a resource's log.</summary>
    public void Line(string resource, string text)
    {
        if (silent)
            return;

        lock (_writing)
        {
            _width = Math.Max(_width, resource.Length);
            output.WriteLine($"{Paint(resource.PadRight(_width), ColourOf(resource))} | {text}");
        }
    }

    /// <summary>Something the engine itself has to say about a resource.</summary>
    public void Note(string resource, string text) => Line(resource, $"[apphost] {text}");

    /// <summary>Text as it is.</summary>
    public void Say(string text)
    {
        if (silent)
            return;

        lock (_writing)
            output.WriteLine(text);
    }

    /// <summary>The table of what runs, the key, and a call that works.</summary>
    public void Welcome(IReadOnlyList<Instance> instances, string api, string key, string dataFolder, TimeSpan taken)
    {
        var rows = instances.Select(i => (i.DisplayName, i.State, Pid: i.Pid?.ToString() ?? "", Address: string.Join(' ', i.Resource.Endpoints.Select(e => e.Url(i.Replica))))).ToList();
        var (name, state) = (rows.Max(r => r.DisplayName.Length), rows.Max(r => r.State.Length));
        Say($"""

            {string.Join('\n', rows.Select(r => $"  {Paint(r.DisplayName.PadRight(name), ColourOf(r.DisplayName))}  {r.State.PadRight(state)}  {r.Pid,7}  {r.Address}"))}

              Everything is healthy after {taken.TotalSeconds:0.0} s. Data, logs and run.json: {dataFolder}
              Development key: {key}

            curl {api}/v1/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{Body}'

            """);
    }

    /// <summary>Why it does not run, the last lines of who failed, and what to do.</summary>
    public void Failure(Instance failed) => Say($"""

        {Paint($"{failed.DisplayName} failed: {failed.LastProblem}", "31")}
        {string.Join('\n', failed.Log.Last(30).Select(line => $"  {failed.DisplayName} | {line}"))}
        What to do: {failed.Remedy}
        """);

    private const string Body = """{"model":"sim-large","messages":[{"role":"user","content":"Hello"}]}""";

    private string ColourOf(string resource)
    {
        lock (_writing)
        {
            if (!_colourOf.TryGetValue(resource, out var colour))
                _colourOf[resource] = colour = Colours[_colourOf.Count % Colours.Length];
            return colour;
        }
    }

    private string Paint(string text, string colour) => _coloured ? $"\u001b[{colour}m{text}\u001b[0m" : text;
}
