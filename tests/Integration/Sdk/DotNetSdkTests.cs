using System.ClientModel;
using System.ClientModel.Primitives;
using System.Text;
using System.Text.Json;
using AiAspire.Integration.Admin;
using AiAspire.Integration.Application;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Embeddings;
using OpenAI.Models;

namespace AiAspire.Integration.Sdk;

/// <summary>
/// The official OpenAI SDK for .NET, unmodified but for its base address, with a model of each wire that a provider may speak, whole and
/// streamed. Batches have tests of their own (<see cref="Batches.BatchTests"/>).
/// </summary>
[Collection(ApplicationCollection.Name)]
public sealed class DotNetSdkTests(RunningApplication application)
{
    private const string OpenAiWire = "sim-large";
    private const string AnthropicWire = "sim-anthropic-large";

    private static readonly BinaryData City = BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}""");
    private static readonly ChatTool Weather = ChatTool.CreateFunctionTool("get_weather", "Today's weather", City, functionSchemaIsStrict: true);
    private static readonly ChatTool Clock = ChatTool.CreateFunctionTool("get_time", functionParameters: City);

    /// <summary>A picture of one pixel.</summary>
    private static readonly BinaryData Pixel = BinaryData.FromBytes(
        Convert.FromBase64String("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="));

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Every chat model of the two wires, in both deliveries.</summary>
    public static TheoryData<string, bool> Both => new() { { OpenAiWire, false }, { OpenAiWire, true }, { AnthropicWire, false }, { AnthropicWire, true } };

    private OpenAIClient Sdk => Client(application.DeveloperKey);

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Answers(string model, bool stream)
    {
        var answer = await AskAsync(model, stream, [new UserChatMessage("say exactly: Grüße, 世界 👋🏽\n“quoted”")]);

        Assert.Equal(("Grüße, 世界 👋🏽\n“quoted”", ChatFinishReason.Stop), (answer.Text, answer.Finish));
        Assert.Equal(answer.Usage.TotalTokenCount, answer.Usage.InputTokenCount + answer.Usage.OutputTokenCount);
        Assert.True(answer.Usage.InputTokenCount > 0 && answer.Usage.OutputTokenCount > 0);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task System_and_developer_messages_come_to_the_model(string model, bool stream)
    {
        // The Simulator has a rule that holds under this text only.
        foreach (var instruction in new ChatMessage[] { new SystemChatMessage("You are the support of Northwind Bikes."), new DeveloperChatMessage("You are the support of Northwind Bikes.") })
        {
            var answer = await AskAsync(model, stream, [instruction, new UserChatMessage("Are you open on Fridays?")]);
            Assert.Equal("On Fridays we are open until 18:00.", answer.Text);
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Takes_several_turns(string model, bool stream)
    {
        List<ChatMessage> messages = [new UserChatMessage("say exactly: one")];
        var first = await AskAsync(model, stream, messages);
        messages.AddRange([new AssistantChatMessage(first.Text), new UserChatMessage("say exactly: two")]);
        var second = await AskAsync(model, stream, messages);

        Assert.Equal(("one", "two"), (first.Text, second.Text));
        Assert.True(second.Usage.InputTokenCount > first.Usage.InputTokenCount);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Takes_images(string model, bool stream)
    {
        var text = ChatMessageContentPart.CreateTextPart("say exactly: seen");
        var plain = await AskAsync(model, stream, [new UserChatMessage(text)]);
        var seen = await AskAsync(model, stream, [new UserChatMessage(text, ChatMessageContentPart.CreateImagePart(Pixel, "image/png", ChatImageDetailLevel.Low))]);

        Assert.Equal("seen", seen.Text);
        Assert.True(seen.Usage.InputTokenCount > plain.Usage.InputTokenCount, "the image counts nothing, so it did not come to the model");
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Stops_at_a_sequence_or_at_the_limit(string model, bool stream)
    {
        ChatMessage[] messages = [new UserChatMessage("say exactly: one two three four")];
        var stopped = await AskAsync(model, stream, messages, new ChatCompletionOptions { StopSequences = { "four", "three" } });
        var cut = await AskAsync(model, stream, messages, new ChatCompletionOptions { MaxOutputTokenCount = 2 });

        Assert.Equal(("one two ", ChatFinishReason.Stop), (stopped.Text, stopped.Finish));
        Assert.Equal(("one two", ChatFinishReason.Length, 2), (cut.Text, cut.Finish, cut.Usage.OutputTokenCount));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Answers_by_a_schema(string model, bool stream)
    {
        var schema = BinaryData.FromString(
            """
            {"type":"object","properties":{"subject":{"type":"string"},"kind":{"enum":["fault","question"]},"tags":{"type":"array","items":{"type":"string"}}},
             "required":["subject","kind","tags"],"additionalProperties":false}
            """);
        var options = new ChatCompletionOptions { ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("ticket", schema, jsonSchemaIsStrict: true) };
        var answer = await AskAsync(model, stream, [new UserChatMessage("Make a ticket of it: my bell broke.")], options);

        var ticket = JsonElement.Parse(answer.Text);
        Assert.Equal(["subject", "kind", "tags"], ticket.EnumerateObject().Select(p => p.Name));
        Assert.Contains(ticket.GetProperty("kind").GetString(), new[] { "fault", "question" });
        Assert.Equal(ChatFinishReason.Stop, answer.Finish);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Calls_a_tool_and_gets_its_result_back_in(string model, bool stream)
    {
        List<ChatMessage> messages = [new UserChatMessage("What is the weather like?")];
        var options = new ChatCompletionOptions { Tools = { Weather, Clock } };
        var asked = await AskAsync(model, stream, messages, options);
        Assert.Equal(("", ChatFinishReason.ToolCalls), (asked.Text, asked.Finish));
        var call = Assert.Single(asked.Calls);
        Assert.Equal("get_weather", call.FunctionName);
        Assert.Equal(JsonValueKind.String, JsonElement.Parse(call.FunctionArguments).GetProperty("city").ValueKind);

        messages.AddRange([new AssistantChatMessage([call]), new ToolChatMessage(call.Id, "sunny, 21 °C")]);
        var answered = await AskAsync(model, stream, messages, options);

        Assert.Contains("sunny, 21 °C", answered.Text, StringComparison.Ordinal);
        Assert.Equal(ChatFinishReason.Stop, answered.Finish);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Calls_tools_in_parallel_unless_told_not_to(string model, bool stream)
    {
        List<ChatMessage> messages = [new UserChatMessage("Weather and time, in parallel please.")];
        var asked = await AskAsync(model, stream, messages, new ChatCompletionOptions { Tools = { Weather, Clock } });
        var one = await AskAsync(model, stream, messages, new ChatCompletionOptions { Tools = { Weather, Clock }, AllowParallelToolCalls = false, ToolChoice = ChatToolChoice.CreateAutoChoice() });
        Assert.Equal(["get_weather", "get_time"], asked.Calls.Select(c => c.FunctionName));
        Assert.Equal(2, asked.Calls.Select(c => c.Id).Distinct(StringComparer.Ordinal).Count());
        Assert.Single(one.Calls);

        messages.AddRange([new AssistantChatMessage(asked.Calls), new ToolChatMessage(asked.Calls[0].Id, "sunny"), new ToolChatMessage(asked.Calls[1].Id, "noon")]);
        var answered = await AskAsync(model, stream, messages, new ChatCompletionOptions { Tools = { Weather, Clock } });

        Assert.Contains("sunny", answered.Text, StringComparison.Ordinal);
        Assert.Contains("noon", answered.Text, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task Obeys_the_choice_of_tools(string model, bool stream)
    {
        ChatMessage[] greeting = [new UserChatMessage("Good day.")];
        var none = await AskAsync(model, stream, [new UserChatMessage("What is the weather like?")], Choosing(ChatToolChoice.CreateNoneChoice()));
        var required = await AskAsync(model, stream, greeting, Choosing(ChatToolChoice.CreateRequiredChoice()));
        var named = await AskAsync(model, stream, greeting, Choosing(ChatToolChoice.CreateFunctionChoice("get_time")));

        Assert.Empty(none.Calls);
        Assert.NotEmpty(none.Text);
        Assert.Single(required.Calls);
        Assert.Equal("get_time", Assert.Single(named.Calls).FunctionName);

        static ChatCompletionOptions Choosing(ChatToolChoice choice) => new() { Tools = { Weather, Clock }, ToolChoice = choice };
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Tells_how_likely_its_tokens_were(bool stream)
    {
        var options = new ChatCompletionOptions { IncludeLogProbabilities = true, TopLogProbabilityCount = 3, Seed = 7 };
        var answer = await AskAsync(OpenAiWire, stream, [new UserChatMessage("say exactly: likely words")], options);

        Assert.Equal(answer.Text, string.Concat(answer.Likely.Select(t => t.Token)));
        Assert.All(answer.Likely, t => Assert.Equal(3, t.TopLogProbabilities.Count));
        Assert.All(answer.Likely, t => Assert.True(t.LogProbability <= 0));
        Assert.All(answer.Likely, t => Assert.Equal(Encoding.UTF8.GetBytes(t.Token), t.Utf8Bytes!.Value.ToArray()));
    }

    [Theory]
    [InlineData(OpenAiWire)]
    [InlineData(AnthropicWire)]
    public async Task A_caller_may_leave_a_stream(string model)
    {
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        ChatMessage[] messages = [new UserChatMessage("say exactly: " + string.Join(' ', Enumerable.Repeat("word", 400)))];
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (var update in Sdk.GetChatClient(model).CompleteChatStreamingAsync(messages, cancellationToken: leaving.Token))
            {
                if (update.ContentUpdate.Count > 0)
                    await leaving.CancelAsync();
                leaving.Token.ThrowIfCancellationRequested();
            }
        });

        // What was left holds up nothing.
        Assert.Equal("x", (await AskAsync(model, stream: false, [new UserChatMessage("say exactly: x")])).Text);
    }

    [Fact]
    public async Task Embeds_texts_and_tokens_at_the_size_asked_for()
    {
        var client = Sdk.GetEmbeddingClient("sim-embedding");
        var texts = (await client.GenerateEmbeddingsAsync(["hello", "world"], new EmbeddingGenerationOptions { Dimensions = 16 }, Cancelled)).Value;
        // "hello" of o200k_base.
        var tokens = (await client.GenerateEmbeddingsAsync([(ReadOnlyMemory<int>)new[] { 24912 }], new EmbeddingGenerationOptions { Dimensions = 16 }, Cancelled)).Value;

        Assert.Equal([0, 1], texts.Select(e => e.Index));
        Assert.All(texts, e => Assert.Equal(16, e.ToFloats().Length));
        Assert.Equal(texts[0].ToFloats().ToArray(), Assert.Single(tokens).ToFloats().ToArray());
        Assert.Equal((2, 2), (texts.Usage.InputTokenCount, texts.Usage.TotalTokenCount));
    }

    [Fact]
    [Trait("Checklist", "MOD-03")]
    public async Task Moderates_by_category()
    {
        var verdicts = (await Sdk.GetModerationClient("sim-moderation").ClassifyTextAsync(["a nice day", "i will kill you"], Cancelled)).Value;

        Assert.Equal([false, true], verdicts.Select(v => v.Flagged));
        Assert.True(verdicts[1].HarassmentThreatening.Flagged);
        Assert.InRange(verdicts[1].HarassmentThreatening.Score, 0.5f, 1f);
        Assert.False(verdicts[1].Sexual.Flagged);
    }

    [Fact]
    public async Task Lists_and_retrieves_models()
    {
        var client = Sdk.GetOpenAIModelClient();
        OpenAIModelCollection listed = (await client.GetModelsAsync(Cancelled)).Value;
        OpenAIModel one = (await client.GetModelAsync(AnthropicWire, Cancelled)).Value;

        Assert.Contains(listed, m => m.Id == OpenAiWire);
        Assert.Equal((AnthropicWire, "sim-anthropic"), (one.Id, one.OwnedBy));
        var missing = await Assert.ThrowsAsync<ClientResultException>(() => client.GetModelAsync("no-such-model", Cancelled));
        Assert.Equal(404, missing.Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_error_bears_its_status_and_reason(bool stream)
    {
        ChatMessage[] messages = [new UserChatMessage("say exactly: x")];
        var key = await RefusedAsync(() => AskAsync(OpenAiWire, stream, messages, client: Client("sk-wrong")));
        var model = await RefusedAsync(() => AskAsync("no-such-model", stream, messages));
        var field = await RefusedAsync(() => AskAsync(OpenAiWire, stream, messages, new ChatCompletionOptions { Temperature = 3 }));
        var wire = await RefusedAsync(() => AskAsync(AnthropicWire, stream, messages, new ChatCompletionOptions { Seed = 7 }));

        Assert.Equal((401, "invalid_api_key", null), key);
        Assert.Equal((404, "model_not_found", "model"), model);
        Assert.Equal((400, "invalid_value", "temperature"), field);
        Assert.Equal((400, "unsupported_parameter", "seed"), wire);
    }

    [Fact]
    [Trait("Checklist", "COST-06")]
    [Trait("Checklist", "COST-07")]
    public async Task A_daily_limit_is_429()
    {
        using var tenant = await AdministeredTenant.CreateAsync(application);
        // Left to itself, the SDK obeys Retry-After, and this one says tomorrow.
        var options = new OpenAIClientOptions { Endpoint = new Uri(application.Api, "/v1"), RetryPolicy = new ClientRetryPolicy(0) };
        var client = new OpenAIClient(new ApiKeyCredential(application.Token(tenant.Slug, "ann")), options);
        var limited = await RefusedAsync(() => AskAsync(
            OpenAiWire, stream: false, [new UserChatMessage(string.Join(' ', Enumerable.Repeat("word", 12_000)))], client: client));

        Assert.Equal((429, "rate_limit_exceeded", null), limited);
    }

    [Fact]
    [Trait("Checklist", "ARCH-04")]
    public async Task A_repeat_under_the_same_key_is_the_same_answer()
    {
        var options = new OpenAIClientOptions { Endpoint = new Uri(application.Api, "/v1") };
        options.AddPolicy(new IdempotencyKeyPolicy($"{TimeProvider.System.GetUtcNow():O}"), PipelinePosition.PerCall);
        var client = new OpenAIClient(new ApiKeyCredential(application.DeveloperKey), options).GetChatClient(OpenAiWire);
        var first = await client.CompleteChatAsync([new UserChatMessage("Tell me about idempotency.")], cancellationToken: Cancelled);
        var second = await client.CompleteChatAsync([new UserChatMessage("Tell me about idempotency.")], cancellationToken: Cancelled);

        Assert.Equal(first.Value.Id, second.Value.Id);
        Assert.True(second.GetRawResponse().Headers.TryGetValue("Idempotent-Replayed", out var replayed));
        Assert.Equal("true", replayed);
    }

    private OpenAIClient Client(string key) => new(new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(application.Api, "/v1") });

    private async Task<Answer> AskAsync(string model, bool stream, IEnumerable<ChatMessage> messages, ChatCompletionOptions? options = null, OpenAIClient? client = null)
    {
        var chat = (client ?? Sdk).GetChatClient(model);
        if (stream)
            return await StreamedAsync(chat.CompleteChatStreamingAsync(messages, options, Cancelled));
        var whole = (await chat.CompleteChatAsync(messages, options, Cancelled)).Value;
        Assert.NotEmpty(whole.Id);
        Assert.Equal(ChatMessageRole.Assistant, whole.Role);
        Assert.Null(whole.Refusal);
        return new Answer(string.Concat(whole.Content.Select(p => p.Text)), [.. whole.ToolCalls], whole.FinishReason, whole.Usage, [.. whole.ContentTokenLogProbabilities]);
    }

    private static async Task<Answer> StreamedAsync(AsyncCollectionResult<StreamingChatCompletionUpdate> updates)
    {
        var (text, likely) = (new StringBuilder(), new List<ChatTokenLogProbabilityDetails>());
        var calls = new SortedDictionary<int, (string Id, string Name, StringBuilder Arguments)>();
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var (roles, finishes, usages) = (new List<ChatMessageRole>(), new List<ChatFinishReason>(), new List<ChatTokenUsage>());
        await foreach (var update in updates)
        {
            Assert.True(usages.Count == 0, "an update after the usage, which is the last");
            ids.Add(update.CompletionId);
            text.Append(string.Concat(update.ContentUpdate.Select(p => p.Text)));
            likely.AddRange(update.ContentTokenLogProbabilities);
            foreach (var part in update.ToolCallUpdates)
            {
                // Its first part bears what it is.
                if (!calls.TryGetValue(part.Index, out var call))
                    calls[part.Index] = call = (part.ToolCallId, part.FunctionName, new StringBuilder());
                call.Arguments.Append(part.FunctionArgumentsUpdate);
            }

            if (update.Role is { } role)
                roles.Add(role);
            if (update.FinishReason is { } finish)
                finishes.Add(finish);
            if (update.Usage is { } usage)
                usages.Add(usage);
        }

        Assert.Single(ids);
        Assert.Equal(ChatMessageRole.Assistant, Assert.Single(roles));
        Assert.Equal(Enumerable.Range(0, calls.Count), calls.Keys);
        return new Answer(
            text.ToString(), [.. calls.Values.Select(c => ChatToolCall.CreateFunctionToolCall(c.Id, c.Name, BinaryData.FromString(c.Arguments.ToString())))],
            Assert.Single(finishes), Assert.Single(usages), likely);
    }

    private static async Task<(int Status, string? Code, string? Param)> RefusedAsync(Func<Task> ask)
    {
        var refused = await Assert.ThrowsAsync<ClientResultException>(ask);
        var response = refused.GetRawResponse()!;
        Assert.True(response.Headers.TryGetValue("x-request-id", out _));
        var error = JsonElement.Parse(response.Content).GetProperty("error");
        return (refused.Status, error.GetProperty("code").GetString(), error.GetProperty("param").GetString());
    }

    private sealed record Answer(string Text, IReadOnlyList<ChatToolCall> Calls, ChatFinishReason Finish, ChatTokenUsage Usage, IReadOnlyList<ChatTokenLogProbabilityDetails> Likely);

    private sealed class IdempotencyKeyPolicy(string key) : PipelinePolicy
    {
        public override void Process(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set("Idempotency-Key", key);
            ProcessNext(message, pipeline, currentIndex);
        }

        public override ValueTask ProcessAsync(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set("Idempotency-Key", key);
            return ProcessNextAsync(message, pipeline, currentIndex);
        }
    }
}
