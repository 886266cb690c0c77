namespace AiAspire.Core.Wire;

public enum ChatEventKind
{
    /// <summary>One <c>chat.completion.chunk</c>.</summary>
    Chunk,

    /// <summary>The chunk after the last choice: <c>choices: []</c> with the usage. Shown only to a caller who asked for it.</summary>
    UsageChunk,

    /// <summary>A whole <c>chat.completion</c>: the reply that was not streamed, as a sequence of one.</summary>
    Completion,
}

/// <summary>One event of a reply, as UTF-8 JSON of OpenAI's wire, whoever the provider is.</summary>
public readonly record struct ChatEvent(ChatEventKind Kind, ReadOnlyMemory<byte> Json);
