using System.Text;
using System.Text.Json;
using AiAspire.Core.Models;
using AiAspire.Core.Wire;
using CsCheck;

namespace AiAspire.Unit.CoreTests.Wire;

public sealed class OpenAiUsageTests
{
    private static readonly Gen<long> Count = Gen.OneOf(Gen.Long[0, 1_000_000], Gen.OneOf(0L, int.MaxValue));
    private static readonly Gen<long> Reported = Gen.OneOf(Gen.Long[-10, 10_000], Gen.OneOf(0L, long.MaxValue, long.MinValue, int.MaxValue));

    [Fact]
    public void What_is_written_is_read_back()
        => Gen.Select(Count.Where(c => c < int.MaxValue / 3), Count.Where(c => c < int.MaxValue / 3), Count.Where(c => c < int.MaxValue / 3), Count, Gen.Double[0, 1])
            .Sample((input, cached, written, output, share) =>
            {
                var usage = new TokenUsage(input, cached, written, output, (long)(output * share));

                Assert.Equal(usage, Read(Write(usage)));
            });

    [Fact]
    public void Whatever_a_provider_reports_the_classes_are_disjoint_and_sum_to_its_own_totals()
        => Gen.Select(Reported, Reported, Reported, Reported, Reported).Sample((prompt, completion, cached, written, reasoning) =>
        {
            var usage = Read($$"""
                {"prompt_tokens":{{prompt}},"completion_tokens":{{completion}},"total_tokens":-1,
                 "prompt_tokens_details":{"cached_tokens":{{cached}},"cache_write_tokens":{{written}},"audio_tokens":7},
                 "completion_tokens_details":{"reasoning_tokens":{{reasoning}},"accepted_prediction_tokens":5} }
                """);

            Assert.All(new[] { usage.Input, usage.CachedInput, usage.CacheWrite, usage.Output, usage.Reasoning, usage.Total }, n => Assert.True(n >= 0));
            Assert.Equal(Math.Clamp(prompt, 0, int.MaxValue), usage.TotalInput);
            Assert.Equal(Math.Clamp(completion, 0, int.MaxValue), usage.Output);
            Assert.True(usage.Reasoning <= usage.Output);
            Assert.Equal(usage.TotalInput + usage.Output, usage.Total);
        });

    [Theory]
    [InlineData("""{}""")]
    [InlineData("""{"prompt_tokens":null,"completion_tokens":"12"}""")]
    [InlineData("""{"prompt_tokens":1.5,"completion_tokens":1e30,"prompt_tokens_details":null}""")]
    [InlineData("""{"prompt_tokens":[1,2],"completion_tokens":{"prompt":3}}""")]
    public void What_is_no_count_is_none(string json) => Assert.Equal(default, Read(json));

    [Fact]
    public void The_reader_stands_at_the_end_of_the_object()
    {
        var reader = new Utf8JsonReader("""{"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":1}},"after":1}"""u8);
        reader.Read();
        reader.Read();
        reader.Read();

        Assert.Equal(new TokenUsage(0, 1, 0, 0, 0), OpenAiUsage.Read(ref reader));
        Assert.True(reader.Read());
        Assert.True(reader.ValueTextEquals("after"));
    }

    private static TokenUsage Read(string json)
    {
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(json));
        reader.Read();
        return OpenAiUsage.Read(ref reader);
    }

    private static string Write(TokenUsage usage)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            OpenAiUsage.Write(writer, usage);
        return Encoding.UTF8.GetString(stream.ToArray());
    }
}
