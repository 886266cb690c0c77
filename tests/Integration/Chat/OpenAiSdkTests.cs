using System.ClientModel;
using AiAspire.Integration.Application;
using OpenAI;
using OpenAI.Chat;

namespace AiAspire.Integration.Chat;

/// <summary>The official OpenAI SDK for .NET, unmodified but for its base address.</summary>
[Collection(ApplicationCollection.Name)]
public sealed class OpenAiSdkTests(RunningApplication application)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private ChatClient Client(string model) => new OpenAIClient(
        new ApiKeyCredential(application.DeveloperKey), new OpenAIClientOptions { Endpoint = new Uri(application.Api, "/v1") }).GetChatClient(model);

    [Theory]
    [InlineData("sim-large")]
    [InlineData("sim-anthropic-large")]
    public async Task Completes(string model)
    {
        var completion = (await Client(model).CompleteChatAsync([new UserChatMessage("say exactly: hello from the SDK")], cancellationToken: Cancelled)).Value;
        Assert.Equal("hello from the SDK", completion.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, completion.FinishReason);
        Assert.True(completion.Usage.InputTokenCount > 0 && completion.Usage.OutputTokenCount > 0);
    }

    [Theory]
    [InlineData("sim-large")]
    [InlineData("sim-anthropic-large")]
    public async Task Streams(string model)
    {
        var text = "";
        ChatFinishReason? finish = null;
        ChatTokenUsage? usage = null;
        await foreach (var update in Client(model).CompleteChatStreamingAsync([new UserChatMessage("say exactly: token by token")], cancellationToken: Cancelled))
        {
            text += string.Concat(update.ContentUpdate.Select(p => p.Text));
            finish ??= update.FinishReason;
            usage ??= update.Usage;
        }

        Assert.Equal("token by token", text);
        Assert.Equal(ChatFinishReason.Stop, finish);
        Assert.True(usage?.OutputTokenCount > 0);
    }

    [Theory]
    [InlineData("sim-large")]
    [InlineData("sim-anthropic-large")]
    public async Task Calls_a_tool_and_gets_its_result_back_in(string model)
    {
        var tool = ChatTool.CreateFunctionTool(
            "get_weather", "Today's weather", BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"""));
        List<ChatMessage> messages = [new UserChatMessage("What is the weather like?")];
        var options = new ChatCompletionOptions { Tools = { tool } };
        var asked = (await Client(model).CompleteChatAsync(messages, options, Cancelled)).Value;
        Assert.Equal(ChatFinishReason.ToolCalls, asked.FinishReason);
        var call = Assert.Single(asked.ToolCalls);
        Assert.Equal("get_weather", call.FunctionName);
        messages.Add(new AssistantChatMessage(asked));
        messages.Add(new ToolChatMessage(call.Id, "sunny 21C"));
        var answered = (await Client(model).CompleteChatAsync(messages, options, Cancelled)).Value;
        Assert.Contains("sunny 21C", answered.Content[0].Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_key_is_an_authentication_error()
    {
        var client = new OpenAIClient(new ApiKeyCredential("sk-wrong"), new OpenAIClientOptions { Endpoint = new Uri(application.Api, "/v1") }).GetChatClient("sim-large");
        var refused = await Assert.ThrowsAsync<ClientResultException>(() => client.CompleteChatAsync([new UserChatMessage("x")], cancellationToken: Cancelled));
        Assert.Equal(401, refused.Status);
    }
}
