using System.Globalization;
using System.Text;
using System.Text.Json;

namespace AiAspire.Load.Batches;

/// <summary>The requests of a batch, some of them bad, and what must become of each.</summary>
internal sealed class BatchFile
{
    private readonly StringBuilder _text = new();

    private BatchFile()
    {
    }

    /// <summary>By its <c>custom_id</c>, what a good request is answered.</summary>
    public Dictionary<string, string> Answers { get; } = new(StringComparer.Ordinal);

    /// <summary>Lines that must come to the error file.</summary>
    public int Bad { get; private set; }

    public int Lines { get; private set; }

    public byte[] Content => Encoding.UTF8.GetBytes(_text.ToString());

    /// <param name="lines">How many.</param>
    /// <param name="badEvery">One in so many is bad, each in another way than the one before; 0: none.</param>
    /// <param name="model">Who answers.</param>
    public static BatchFile Make(int lines, int badEvery, string model)
    {
        var file = new BatchFile();
        for (var i = 0; i < lines; i++)
        {
            var id = string.Create(CultureInfo.InvariantCulture, $"request-{i}");
            if (badEvery > 0 && i % badEvery == badEvery / 2)
                file.AddBad(i / badEvery % 4, id, model);
            else
                file.AddGood(id, model);
        }

        return file;
    }

    private void AddGood(string id, string model)
    {
        Add(Line(id, model, $"say exactly: {id}"));
        Answers[id] = id;
    }

    private void AddBad(int kind, string id, string model)
    {
        Bad++;
        Add(kind switch
        {
            0 => $"{{\"custom_id\":\"{id}\", this is not JSON",
            1 => Line("", model, "no name"),
            2 => Line(id, "no-such-model", "unknown model"),
            _ => Line(id, model, null),
        });
    }

    private void Add(string line)
    {
        Lines++;
        _text.Append(line).Append('\n');
    }

    private static string Line(string id, string model, string? text) => JsonSerializer.Serialize(new
    {
        custom_id = id,
        method = "POST",
        url = "/v1/chat/completions",
        body = new { model, messages = text is null ? [] : new[] { new { role = "user", content = text } } },
    });
}
