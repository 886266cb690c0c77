using System.Text.Json;
using AiAspire.Core.Models;

namespace AiAspire.Unit.CoreTests.Models;

public sealed class TokenCounterTests
{
    private static readonly TokenCounter Counter = new();
    private static readonly JsonSerializerOptions Unescaped = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Texts of our own writing.</summary>
    public static TheoryData<string, string> Samples => new()
    {
        { "English", "When a customer writes to us at night, somebody should answer before breakfast. The refund is usually granted within three working days, and we keep them informed by e-mail." },
        { "German", "Die Rückerstattung wird üblicherweise innerhalb von drei Werktagen veranlasst; Geschwindigkeitsbegrenzungen und Haftpflichtversicherungsbedingungen bleiben davon unberührt." },
        { "Chinese", "如果客户在夜间给我们写信，应该有人在早餐之前回复。退款通常在三个工作日内完成，我们会通过电子邮件通知他们。" },
        { "Japanese", "お客様から夜間にご連絡をいただいた場合は、翌朝までに返信いたします。返金は通常三営業日以内に行われます。" },
        { "Russian", "Если клиент пишет нам ночью, кто-нибудь должен ответить до завтрака. Возврат обычно выполняется в течение трёх рабочих дней." },
        { "C#", "public static async Task<int> Main(string[] args)\n{\n    await using var app = Build(args);\n    for (var i = 0; i < 10; i++)\n        x[i] += (a && !b) ? ~c : d >> 2;\n    return app.Run() == 0 ? 1 : 0;\n}\n" },
        { "Python", "def f(xs):\n    return {k: v**2 for k, v in enumerate(xs) if k % 3 == 0 and v != -1}\n\n\nprint(f([1, 2, 3, 4]), sep='\\n')\n" },
        { "JSON", """{"id":17,"name":"Ann","tags":["a","b"],"nested":{"x":1.5,"y":[true,false,null]}}""" },
        { "SQL", "SELECT t.id, sum(a.cost) FROM attempts a JOIN tenants t ON t.id = a.tenant_id WHERE a.at >= $1 AND a.outcome <> 'Open' GROUP BY 1;" },
        { "numbers", "3.14159 2.71828; 17 + 4 = 21, 1/3, 0x7f, 2026-03-14T15:09:26Z" },
        { "hexadecimal", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
        { "emoji", "Great 👍👍 — thanks a lot 🎉😀!" },
        { "one word", "Hi" },
        { "nothing", "" },
    };

    [Theory]
    [MemberData(nameof(Samples))]
    [Trait("Checklist", "COST-01")]
    public void A_reservation_is_never_below_the_real_count(string what, string text)
    {
        using var request = SampleCalls.Request(JsonSerializer.Serialize(new { model = "m", messages = new[] { new { role = "user", content = text } } }));
        using var unescaped = SampleCalls.Request(JsonSerializer.Serialize(
            new { model = "m", messages = new[] { new { role = "user", content = text } } },
            Unescaped));

        var real = Counter.CountInput(unescaped.Json);

        Assert.Equal(real, Counter.CountInput(request.Json));
        Assert.True(TokenCounter.EstimateInput(unescaped.Json) >= real, $"{what}: {TokenCounter.EstimateInput(unescaped.Json)} reserved, {real} needed.");
        Assert.True(TokenCounter.EstimateInput(request.Json) >= real, what);
    }

    [Fact]
    public void Many_short_messages_are_counted_each()
    {
        using var request = SampleCalls.Request(JsonSerializer.Serialize(new { model = "m", messages = Enumerable.Repeat(new { role = "user", content = "ok" }, 100) }));

        Assert.True(TokenCounter.EstimateInput(request.Json) >= Counter.CountInput(request.Json));
        Assert.True(Counter.CountInput(request.Json) >= 400);
    }

    [Theory]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"#\",\"parameters\":{}}}]")]
    [InlineData("\"functions\":[{\"name\":\"f\",\"description\":\"#\"}]")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"s\",\"schema\":{\"description\":\"#\"}}}")]
    public void What_else_is_input_to_the_model_is_reserved_for(string field)
    {
        var bare = SampleCalls.Request("""{"model":"m","messages":[{"role":"user","content":"a"}]}""");
        var full = SampleCalls.Request($"{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}}],{field.Replace("#", new string('x', 3000), StringComparison.Ordinal)}}}");
        using (bare)
        using (full)
            Assert.True(TokenCounter.EstimateInput(full.Json) - TokenCounter.EstimateInput(bare.Json) >= 1000);
    }

    [Fact]
    public void A_reservation_for_plain_text_is_no_more_than_twice_what_is_needed()
    {
        var text = string.Concat(Enumerable.Repeat((string)Samples.First().Data.Item2, 10));
        using var request = SampleCalls.Request(JsonSerializer.Serialize(new { model = "m", messages = new[] { new { role = "user", content = text } } }));

        Assert.InRange(TokenCounter.EstimateInput(request.Json), Counter.CountInput(request.Json), 2 * Counter.CountInput(request.Json));
    }

    [Fact]
    public void An_escaped_character_is_reserved_for_as_one()
    {
        using var request = SampleCalls.Request("""{"model":"m","messages":[{"role":"user","content":"\u4e2d\u6587\n"}]}""");

        Assert.Equal(3 + 3 + 4 + 1, TokenCounter.EstimateInput(request.Json));
    }

    [Fact]
    public void A_picture_is_not_counted_by_its_bytes()
    {
        using var request = SampleCalls.Request(
            $$$"""{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,{{{new string('A', 90_000)}}}"}}]}]}""");

        Assert.InRange(TokenCounter.EstimateInput(request.Json), 85, 200);
        Assert.InRange(Counter.CountInput(request.Json), 85, 200);
    }

    [Theory]
    [InlineData("\"data:image/#\"")]
    [InlineData("[{\"type\":\"text\",\"text\":\"data:image/#\"}]")]
    public void A_text_that_only_begins_like_a_picture_is_counted_as_text(string content)
    {
        using var request = SampleCalls.Request($"{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":{content.Replace("#", new string('x', 30_000), StringComparison.Ordinal)}}}]}}");

        Assert.True(TokenCounter.EstimateInput(request.Json) > 9_000);
    }

    [Fact]
    public void Tool_calls_of_earlier_turns_are_reserved_for()
    {
        using var request = SampleCalls.Request(
            $$$"""{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{{{new string('x', 3000)}}}"}}]},{"role":"user","content":"a"}]}""");

        Assert.True(TokenCounter.EstimateInput(request.Json) >= 1000);
    }

    [Fact]
    public void What_else_is_input_is_counted_when_the_provider_does_not_tell()
    {
        const string Plain = """{"model":"m","messages":[{"role":"user","content":"a"}]}""";
        var words = string.Join(' ', Enumerable.Repeat("tool", 500));
        foreach (var more in new[]
        {
            $$$"""{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","description":"{{{words}}}"}}]}""",
            $$$$$"""{"model":"m","messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"description":"{{{{{words}}}}}"}}}}""",
            $$$"""{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{{{words}}}"}}]}]}""",
        })
        {
            using var plain = SampleCalls.Request(Plain);
            using var request = SampleCalls.Request(more);
            Assert.InRange(Counter.CountInput(request.Json) - Counter.CountInput(plain.Json), 500, 600);
        }
    }

    [Theory]
    [InlineData("""{"type":"input_audio","input_audio":{"data":"#","format":"mp3"}}""", 2_000)]
    [InlineData("""{"type":"file","file":{"filename":"a.pdf","file_data":"#"}}""", 15_625)]
    public void A_sound_or_a_file_is_not_counted_as_the_text_of_its_bytes(string part, int tokens)
    {
        using var request = SampleCalls.Request($$"""{"model":"m","messages":[{"role":"user","content":[{{part.Replace("#", new string('A', 1_000_000), StringComparison.Ordinal)}}]}]}""");
        using var small = SampleCalls.Request($$"""{"model":"m","messages":[{"role":"user","content":[{{part.Replace("#", "AAAA", StringComparison.Ordinal)}}]}]}""");

        Assert.InRange(TokenCounter.EstimateInput(request.Json), tokens - 100, tokens + 100);
        Assert.InRange(Counter.CountInput(request.Json), tokens - 100, tokens + 100);
        Assert.InRange(TokenCounter.EstimateInput(small.Json), 85, 150);
    }

    [Fact]
    public void Odd_content_parts_count_without_an_exception()
    {
        using var request = SampleCalls.Request("""{"model":"m","messages":[{"role":"user","content":["text",null,7,{"type":"text","text":null},{"type":"text","text":5},{"text":{"a":1}},[1]]}]}""");

        Assert.True(Counter.CountInput(request.Json) > 0);
        Assert.True(TokenCounter.EstimateInput(request.Json) > 0);
    }
}
