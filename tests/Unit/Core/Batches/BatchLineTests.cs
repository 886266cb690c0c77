using System.Text;
using AiAspire.Core.Batches;
using AiAspire.Core.Files;

namespace AiAspire.Unit.CoreTests.Batches;

public sealed class BatchLineTests
{
    private const string Chat = "/v1/chat/completions";

    [Fact]
    public void A_request_is_read_with_its_body_as_it_came()
    {
        var line = Read("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m","temperature":1.50,"messages":[]}}""");

        Assert.Null(line.Fault);
        Assert.Equal("a", line.CustomId);
        Assert.Equal("""{"model":"m","temperature":1.50,"messages":[]}""", Encoding.UTF8.GetString(line.Body.Span));
    }

    [Theory]
    [InlineData("""{"custom_id":"a","method":"POST",""", null, "invalid_json_line", null)]
    [InlineData("[1]", null, "invalid_json_line", null)]
    [InlineData("""{"custom_id":"\ud800","method":"POST","url":"/v1/chat/completions","body":{}}""", null, "invalid_json_line", null)]
    [InlineData("""{"custom_id":"a","custom_id":"b","method":"POST","url":"/v1/chat/completions","body":{}}""", null, "invalid_json_line", null)]
    [InlineData("""{"method":"POST","url":"/v1/chat/completions","body":{}}""", null, "invalid_custom_id", "custom_id")]
    [InlineData("""{"custom_id":"","method":"POST","url":"/v1/chat/completions","body":{}}""", null, "invalid_custom_id", "custom_id")]
    [InlineData("""{"custom_id":7,"method":"POST","url":"/v1/chat/completions","body":{}}""", null, "invalid_custom_id", "custom_id")]
    [InlineData("""{"custom_id":"a","method":"GET","url":"/v1/chat/completions","body":{}}""", "a", "invalid_method", "method")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}""", "a", "invalid_url", "url")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions"}""", "a", "invalid_body", "body")]
    [InlineData("""{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":"x"}""", "a", "invalid_body", "body")]
    public void A_line_that_is_no_request_says_what_is_wrong_with_it(string text, string? customId, string code, string? param)
    {
        var line = Read(text);

        Assert.NotNull(line.Fault);
        Assert.Equal((customId, code, 3, param), (line.CustomId, line.Fault.Code, line.Fault.Line!.Value, line.Fault.Param));
        var told = Encoding.UTF8.GetString(BatchResult.Faulty(line, Guid.Empty));
        Assert.StartsWith("""{"id":"batch_req_00000000000000000000000000000000","custom_id":""", told, StringComparison.Ordinal);
        Assert.Contains("\"response\":null,\"error\":{\"code\":\"" + code + "\",\"message\":\"Line 3: ", told, StringComparison.Ordinal);
        Assert.Equal('\n', told[^1]);
    }

    [Fact]
    public void A_line_that_is_too_long_is_told_without_its_bytes()
    {
        var line = BatchLine.Read(new FileLine(3, 0, 9, default, IsTooLong: true), Chat);

        Assert.Equal("line_too_long", line.Fault?.Code);
    }

    [Fact]
    public void An_answer_that_came_in_several_lines_stands_in_one()
    {
        var line = Encoding.UTF8.GetString(BatchResult.Answered("a", Guid.Empty, "{\n  \"ok\": 1.50\r\n}"u8.ToArray()));

        Assert.Equal(
            """{"id":"batch_req_00000000000000000000000000000000","custom_id":"a","response":{"status_code":200,"request_id":"00000000-0000-0000-0000-000000000000","body":{"ok":1.50}},"error":null}""" + "\n",
            line);
    }

    private static BatchLine Read(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return BatchLine.Read(new FileLine(3, 10, 10 + bytes.Length, bytes, IsTooLong: false), Chat);
    }
}
